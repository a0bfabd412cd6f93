"""Role: builds the peer on grpc-go, grpc-go's interop programs, and the original tutorial programs where a checkout of them is
given."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from .common import BUILT, PEERS, ROOT, BuildFailed, Missing, Participant, only_builder, run

GRPC = "google.golang.org/grpc"


def go() -> Participant:
    source = PEERS / "go"
    server, client, load = _build(source, BUILT / "go", "./cmd/server", "./cmd/client", "./cmd/load")
    grpc = run(["go", "list", "-m", "-f", "{{.Version}}", GRPC], cwd=source).strip().removeprefix("v")
    # Where the module is: its go.mod may ask for another toolchain than the one on PATH.
    toolchain = run(["go", "env", "GOVERSION"], cwd=source).strip()
    return Participant("go", server, client, load, f"grpc-go {grpc}, {toolchain}")


def original(checkout: Path) -> Participant:
    """The original has no go.mod and its own directory is left alone, so a copy is built with ours laid over it."""
    if not (checkout / "src" / "server" / "server.go").is_file():
        raise BuildFailed(f"{checkout} is no checkout of the original: there is no src/server/server.go")
    with tempfile.TemporaryDirectory(prefix="fanstream-original-") as scratch:
        source = Path(scratch)
        shutil.copytree(checkout / "src", source / "src")
        for name in ("go.mod", "go.sum"):
            shutil.copy(PEERS / "original" / name, source / name)
        server, client = _build(source, BUILT / "original", "./src/server", "./src/client")
    return Participant("original", server, client, takes_flags=False)


def interop() -> tuple[list[str], list[str]]:
    """The commands of grpc-go's interop server and client."""
    packages = ["./server", f"{GRPC}/interop/client"]
    server, client = _build(ROOT / "tests" / "interop" / "go", BUILT / "interop", *packages)
    return server, client


def _build(source: Path, into: Path, *packages: str) -> list[list[str]]:
    """The command of each package, in their order."""
    if not shutil.which("go"):
        raise Missing("there is no go on PATH; Go 1.26 or newer is at https://go.dev/dl")
    with only_builder():
        into.mkdir(parents=True, exist_ok=True)
        # -trimpath: what is built does not depend on where the source lies, so Go's cache serves copies of it too.
        run(["go", "build", "-trimpath", "-buildvcs=false", "-o", f"{into}/", *packages], cwd=source)
    return [[str(into / Path(package).name)] for package in packages]
