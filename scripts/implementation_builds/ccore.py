"""Role: the implementations in C and C++ on the C-core that cargo has built; scripts/ccore_implementations.py builds
them all at once."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from typing import Any

from .common import BUILT, BuildFailed, Missing, Participant, only_builder
from .rust import RELEASE, ccore_version

NAMES = ["ccore", "ccore-framed", "cpp-sync", "cpp-sync-hinted", "cpp-callback", "cpp-callback-hinted"]


def ccore(name: str) -> Participant:
    """The suffix `-release` stands for the C-core that scripts/release has compiled."""
    base = name.removesuffix("-release")
    commands = _build_all(base != name)[base]
    api = "C-core" if base.startswith("ccore") else "gRPC C++"
    flags = " ".join(commands["server"][1:])
    version = f"{api} {ccore_version()}, {flags}"
    return Participant(name, commands["server"], load=commands.get("load", []), version=version)


@functools.cache
def _build_all(release: bool) -> dict[str, dict[str, list[str]]]:
    try:
        builder: Any = importlib.import_module("ccore_implementations")
    except ModuleNotFoundError:
        raise Missing("this checkout has no scripts/ccore_implementations.py") from None
    try:
        with only_builder():
            into, compiled = (BUILT / "ccore-release", _release()) if release else (BUILT / "ccore", None)
            commands: dict[str, dict[str, list[str]]] = builder.build(into, compiled)
    except builder.Missing as missing:
        raise Missing(str(missing)) from None
    except Exception as failure:
        raise BuildFailed(f"scripts/ccore_implementations.py: {failure}") from failure
    return commands


def _release() -> Path:
    """The directory where scripts/release has compiled the C-core."""
    libraries = RELEASE.glob("trained/*/release/build/grpcio-sys-*/out/build/libgrpc.a")
    newest = max(libraries, key=lambda library: library.stat().st_mtime, default=None)
    if newest is None:
        raise Missing("scripts/release has compiled no C-core")
    return newest.parent
