"""Role: what cargo builds: our own programs, the naive translation (both on grpcio) and the peer on tonic.

Always with the settings of scripts/env: with others, cargo would build the C-core again.
"""

from __future__ import annotations

import functools
import json
import os
import re
from pathlib import Path

from .common import BUILT, CACHE, PEERS, ROOT, BuildFailed, Missing, Participant, only_builder, run, version_in
from .mirror import mirror

BUILD_LIMIT = 3600  # seconds; the first build compiles the C-core

LOCK = ROOT / "Cargo.lock"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or CACHE / "target") / "release"


def ours() -> Participant:
    """Not built here: for the tests, which are of what cargo has built."""
    for program in ("server", "client"):
        if not (TARGET / program).exists():
            raise Missing(f"{TARGET / program} is not there; build it with: . scripts/env && cargo build --release")
    return Participant("ours", [str(TARGET / "server")], [str(TARGET / "client")])


def suites() -> dict[str, list[str]]:
    """The programs for suites that others wrote, by name."""
    packages = ("conformance", "interop")
    _build("--workspace", "--bins", "--examples")  # what `cargo test` selects: with less, the library is compiled again
    names = (f"{package}-{side}" for package in packages for side in ("server", "client"))
    return {name: [str(TARGET / name)] for name in names}


def fanstream() -> Participant:
    """The shipped server and client, and the load client where the crate has one."""
    examples = ["load"] if "load" in _examples() else []
    _build("--bins", *_flags(examples))
    return Participant(
        "fanstream",
        # Up to 5,000 streams are open on a connection, which are more than the default allows.
        [str(TARGET / "server"), "--max-streams-per-connection", "100000"],
        [str(TARGET / "client")],
        load=[str(TARGET / "examples" / "load") for _ in examples],
        version=_grpcio_version(),
    )


def naive() -> Participant:
    examples = ["naive-server", "naive-load"]
    if not set(examples) <= _examples():
        raise Missing(f"this checkout has no examples {' and '.join(examples)}")
    _build(*_flags(examples))
    server, load = ([str(TARGET / "examples" / example)] for example in examples)
    return Participant("naive", server, load=load, version=_grpcio_version())


def tonic() -> Participant:
    source = PEERS / "tonic"
    if not (source / "Cargo.toml").exists():
        raise Missing(f"this checkout has no {source.relative_to(ROOT)}")
    into = BUILT / "tonic"
    copy = into / "source"
    with only_builder():
        mirror(ROOT, ["proto", "benches/peers/common_rust", "benches/peers/tonic"], copy)
        _cargo("build", "--release", "--locked", "--target-dir", str(into), cwd=copy / source.relative_to(ROOT))
    version = version_in(source / "Cargo.lock", locked("tonic"))
    return Participant(
        "tonic",
        [str(into / "release" / "server")],
        load=[str(into / "release" / "load")],
        version=f"tonic {version}, {_rustc()}",
    )


def locked(crate: str) -> str:
    """The pattern of the version of a crate in a Cargo.lock."""
    return rf'^name = "{re.escape(crate)}"\nversion = "([^"]+)"'


def ccore_version() -> str:
    """That of the C-core, which grpcio-sys carries as metadata of its own version: 0.13.0+1.56.2-patched."""
    return version_in(LOCK, r'^name = "grpcio-sys"\nversion = "[^"+]+\+([\d.]+)')


def _grpcio_version() -> str:
    return f"grpcio {version_in(LOCK, locked('grpcio'))}, C-core {ccore_version()}, {_rustc()}"


@functools.cache
def _rustc() -> str:
    _, version, *_ = _with_settings("rustc", "--version").split()
    return f"rustc {version}"


@functools.cache
def _examples() -> set[str]:
    metadata = json.loads(_cargo("metadata", "--no-deps", "--locked", "--format-version", "1"))
    targets = (target for package in metadata["packages"] for target in package["targets"])
    return {target["name"] for target in targets if "example" in target["kind"]}


def _flags(examples: list[str]) -> list[str]:
    return [flag for example in examples for flag in ("--example", example)]


def _build(*targets: str) -> None:
    _cargo("build", "--release", "--locked", *targets)


def _cargo(*arguments: str, cwd: Path = ROOT) -> str:
    try:
        _with_settings("cargo", "--version")
    except BuildFailed:
        raise Missing("there is no cargo on PATH; scripts/setup installs Rust") from None
    return _with_settings("cargo", *arguments, cwd=cwd)


def _with_settings(*command: str, cwd: Path = ROOT) -> str:
    in_env = 'unset CDPATH; . "$0" && exec "$@"'
    return run(["bash", "-c", in_env, str(ROOT / "scripts" / "env"), *command], cwd, BUILD_LIMIT)
