"""Role: the implementations in C and C++ on the C-core that cargo has built; scripts/ccore_implementations.py builds
them all at once."""

from __future__ import annotations

import functools
import importlib
from typing import Any

from .common import BUILT, BuildFailed, Missing, Participant, only_builder
from .rust import ccore_version

NAMES = ["ccore", "cpp-sync", "cpp-sync-hinted", "cpp-callback", "cpp-callback-hinted"]


def ccore(name: str) -> Participant:
    commands = _build_all()[name]
    api = "C-core" if name == "ccore" else "gRPC C++"
    flags = " ".join(commands["server"][1:])
    version = f"{api} {ccore_version()}, {flags}"
    return Participant(name, commands["server"], load=commands.get("load", []), version=version)


@functools.cache
def _build_all() -> dict[str, dict[str, list[str]]]:
    try:
        builder: Any = importlib.import_module("ccore_implementations")
    except ModuleNotFoundError:
        raise Missing("this checkout has no scripts/ccore_implementations.py") from None
    try:
        with only_builder():
            commands: dict[str, dict[str, list[str]]] = builder.build(BUILT / "ccore")
    except builder.Missing as missing:
        raise Missing(str(missing)) from None
    except Exception as failure:
        raise BuildFailed(f"scripts/ccore_implementations.py: {failure}") from failure
    return commands
