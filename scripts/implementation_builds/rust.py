"""Role: builds the Rust programs: this project's own and the naive translation, both on grpcio, and those on other libraries.

Every command runs with the settings of scripts/env: with other settings, cargo would build the C-core again.
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
from pathlib import Path

from .common import BUILT, CACHE, IMPLEMENTATIONS, ROOT, BuildFailed, Missing, Participant, only_builder, run, version_in
from .mirror import mirror

BUILD_TIMEOUT = 3600  # seconds; the first build compiles the C-core

RELEASE = CACHE / "release"

LOCK = ROOT / "Cargo.lock"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or CACHE / "target") / "release"


def ours() -> Participant:
    """The shipped programs as cargo built them; the tests that call this must not build."""
    for program in ("server", "client"):
        if not (TARGET / program).exists():
            raise Missing(f"{TARGET / program} is missing; build it with: . scripts/env && cargo build --release")
    return Participant("ours", [_program("server")], [_program("client")])


def suites() -> dict[str, list[str]]:
    """The programs that third-party test suites drive, by name."""
    _build_workspace()
    names = (f"{suite}-{side}" for suite in ("conformance", "interop") for side in ("server", "client"))
    return {name: [_program(name)] for name in names}


def qps() -> dict[str, str]:
    """The worker and the driver of gRPC's benchmark, by name."""
    _build_workspace()
    return {name: _program(name) for name in ("qps-worker", "qps-driver")}


def fanstream() -> Participant:
    _build_workspace()
    return Participant(
        "fanstream",
        # A connection carries up to 5,000 streams here, more than the default allows.
        [_program("server"), "--max-streams-per-connection", "100000"],
        [_program("client")],
        load=[_program("fanstream-load")],
        produce=[_program("fanstream-produce")],
        version=_grpcio_version(),
    )


def fanstream_direct() -> Participant:
    """The server that begins calls on poll threads."""
    ours = fanstream()
    return Participant(
        "fanstream-direct", [*ours.server, "--direct"], produce=ours.produce, version=ours.version + ", --direct"
    )


def fanstream_release() -> Participant:
    """The programs of scripts/release, which nothing else builds."""
    return Participant(
        "fanstream-release",
        [str(RELEASE / "bin" / "server"), "--max-streams-per-connection", "100000"],
        load=[str(RELEASE / "bin" / "fanstream-load")],
        # Its texts are made by the same code.
        produce=[_program("fanstream-produce")],
        version=_grpcio_version() + ", scripts/release",
    )


def has_release() -> bool:
    return (RELEASE / "bin" / "fanstream-load").exists()


def naive() -> Participant:
    _build_workspace()
    return Participant("naive", [_program("naive-server")], load=[_program("naive-load")], version=_grpcio_version())


def tonic() -> Participant:
    built = _build_apart("tonic")
    return Participant("tonic", [str(built / "server")], load=[str(built / "load")], version=_version_apart("tonic"))


def connectrpc() -> Participant:
    built = _build_apart("connectrpc")
    version = _version_apart("connectrpc")
    return Participant("connectrpc", [str(built / "server")], load=[str(built / "load")], version=version)


def grpc_rs() -> Participant:
    """Without a load client: calls in flight on one of its channels would need an event loop of our own."""
    if error := _io_uring_error():
        raise Missing(f"grpc-rs needs io_uring, which this machine denies: {error}")
    built = _build_apart("grpc-rs")
    return Participant("grpc-rs", [str(built / "server")], version=_version_apart("grpc-rs"))


def _io_uring_error() -> str | None:
    """Why the kernel denies a ring; containers often do."""
    setup, params = 425, ctypes.create_string_buffer(120)  # the same number on all architectures; struct io_uring_params
    libc = ctypes.CDLL(None, use_errno=True)
    ring = libc.syscall(setup, 8, params)
    if ring < 0:
        return os.strerror(ctypes.get_errno())
    os.close(ring)
    return None


def _build_apart(name: str) -> Path:
    """Builds an implementation with a Cargo.lock of its own; returns the directory of its programs."""
    source = IMPLEMENTATIONS / name
    into = BUILT / name
    copy = into / "source"
    with only_builder():
        mirror(ROOT, ["proto", "benches/implementations/common_rust", f"benches/implementations/{name}"], copy)
        _cargo("build", "--release", "--locked", "--target-dir", str(into), cwd=copy / source.relative_to(ROOT))
    return into / "release"


def _version_apart(name: str) -> str:
    return f"{name} {version_in(IMPLEMENTATIONS / name / 'Cargo.lock', locked(name))}, {_rustc()}"


def locked(crate: str) -> str:
    """A pattern that finds the version of a crate in a Cargo.lock."""
    return rf'^name = "{re.escape(crate)}"\nversion = "([^"]+)"'


def ccore_version() -> str:
    """The version of the C-core, from the build metadata of grpcio-sys: 0.13.0+1.56.2-patched."""
    return version_in(LOCK, r'^name = "grpcio-sys"\nversion = "[^"+]+\+([\d.]+)')


def _grpcio_version() -> str:
    return f"grpcio {version_in(LOCK, locked('grpcio'))}, C-core {ccore_version()}, {_rustc()}"


@functools.cache
def _rustc() -> str:
    _, version, *_ = _with_settings("rustc", "--version").split()
    return f"rustc {version}"


def _program(name: str) -> str:
    return str(TARGET / name)


@functools.cache
def _build_workspace() -> None:
    """Selects the same packages as `cargo test`: with fewer, cargo would compile the library again."""
    _cargo("build", "--release", "--locked", "--workspace", "--bins", "--examples")


def _cargo(*arguments: str, cwd: Path = ROOT) -> str:
    try:
        _with_settings("cargo", "--version")
    except BuildFailed:
        raise Missing("cargo is not on PATH; scripts/setup installs Rust") from None
    return _with_settings("cargo", *arguments, cwd=cwd)


def _with_settings(*command: str, cwd: Path = ROOT) -> str:
    in_env = 'unset CDPATH; . "$0" && exec "$@"'
    return run(["bash", "-c", in_env, str(ROOT / "scripts" / "env"), *command], cwd, BUILD_TIMEOUT)
