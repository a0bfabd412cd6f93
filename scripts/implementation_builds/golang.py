"""Role: builds the implementation on grpc-go, grpc-go's interop programs, and the original tutorial programs from a given
checkout."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from .common import BUILT, IMPLEMENTATIONS, ROOT, BuildFailed, Missing, Participant, only_builder, run, version_in

GRPC = "google.golang.org/grpc"


def go() -> Participant:
    source = IMPLEMENTATIONS / "go"
    server, client, load = _build(source, BUILT / "go", "./cmd/server", "./cmd/client", "./cmd/load")
    # Runs in the module: its go.mod may select another toolchain than the one on PATH.
    toolchain = run(["go", "env", "GOVERSION"], cwd=source).strip()
    return Participant("go", server, client, load, f"grpc-go {grpc_version()}, {toolchain}")


def grpc_version() -> str:
    return version_in(IMPLEMENTATIONS / "go" / "go.mod", rf"^\s*(?:require )?{re.escape(GRPC)} v(\S+)")


def original(checkout: Path) -> Participant:
    """Builds a copy with our go.mod: the original has none, and its checkout must stay unchanged."""
    if not (checkout / "src" / "server" / "server.go").is_file():
        raise BuildFailed(f"{checkout} is no checkout of the original: src/server/server.go is missing")
    with tempfile.TemporaryDirectory(prefix="fanstream-original-") as scratch:
        source = Path(scratch)
        shutil.copytree(checkout / "src", source / "src")
        for name in ("go.mod", "go.sum"):
            shutil.copy(IMPLEMENTATIONS / "original" / name, source / name)
        server, client = _build(source, BUILT / "original", "./src/server", "./src/client")
    return Participant("original", server, client, takes_flags=False)


def interop() -> tuple[list[str], list[str]]:
    """The commands of grpc-go's interop server and client."""
    packages = ["./server", f"{GRPC}/interop/client"]
    server, client = _build(ROOT / "tests" / "interop" / "go", BUILT / "interop", *packages)
    return server, client


def _build(source: Path, into: Path, *packages: str) -> list[list[str]]:
    """Returns the command of each package, in order."""
    if not shutil.which("go"):
        raise Missing("go is not on PATH; Go 1.26 or newer is at https://go.dev/dl")
    with only_builder():
        into.mkdir(parents=True, exist_ok=True)
        # -trimpath: the result does not depend on the source's path, so Go's cache also serves copies.
        run(["go", "build", "-trimpath", "-buildvcs=false", "-o", f"{into}/", *packages], cwd=source)
    return [[str(into / Path(package).name)] for package in packages]
