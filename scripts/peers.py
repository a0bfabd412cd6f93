#!/usr/bin/env python3
"""Role: builds the programs that speak the contract of proto/stream.proto and says how to start them: our own server and
client, the peers in Go and Python (benches/peers), and the original tutorial programs where a checkout is given.

Everything built goes to ${XDG_CACHE_HOME:-~/.cache}/fanstream/peers, nothing into the checkout.

Usage: scripts/peers.py    builds both peers and prints their commands as JSON: {"go": {"server": [...], "client": [...]}, ...}
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "benches" / "peers"
PROTO = ROOT / "proto" / "stream.proto"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fanstream"
BUILT = CACHE / "peers"

BUILD_LIMIT = 900  # seconds for one command of a build; the first downloads everything


class Missing(Exception):
    """Something outside the project is not there, such as a toolchain."""


class BuildFailed(Exception):
    """What is there does not build."""


@dataclass(frozen=True)
class Participant:
    name: str
    server: list[str]
    client: list[str]
    takes_flags: bool = True


def ours() -> Participant:
    """Not built here: what is measured and tested is what cargo has built."""
    target = Path(os.environ.get("CARGO_TARGET_DIR") or CACHE / "target") / "release"
    for program in ("server", "client"):
        if not (target / program).exists():
            raise Missing(f"{target / program} is not there; build it with: . scripts/env && cargo build --release")
    return Participant("ours", [str(target / "server")], [str(target / "client")])


def go() -> Participant:
    return Participant("go", *_go_build(PEERS / "go", BUILT / "go", "./cmd/server", "./cmd/client"))


def original(checkout: Path) -> Participant:
    """The original has no go.mod and its own directory is left alone, so a copy is built with ours laid over it."""
    if not (checkout / "src" / "server" / "server.go").is_file():
        raise BuildFailed(f"{checkout} is no checkout of the original: there is no src/server/server.go")
    with tempfile.TemporaryDirectory(prefix="fanstream-original-") as scratch:
        source = Path(scratch)
        shutil.copytree(checkout / "src", source / "src")
        for name in ("go.mod", "go.sum"):
            shutil.copy(PEERS / "original" / name, source / name)
        programs = _go_build(source, BUILT / "original", "./src/server", "./src/client")
    return Participant("original", *programs, takes_flags=False)


def python() -> Participant:
    """A virtual environment that holds grpcio and the code generated from the proto; a new one when either changes."""
    if not all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        raise Missing("this python3 cannot make virtual environments (Debian: apt-get install python3-venv)")
    requirements = PEERS / "python" / "requirements.txt"
    version = "{}.{}".format(*sys.version_info)
    key = hashlib.sha256(version.encode() + requirements.read_bytes() + PROTO.read_bytes()).hexdigest()[:16]
    environment = BUILT / f"python-venv-{key}"
    interpreter = environment / "bin" / "python"
    with _only_builder():
        complete = environment / "complete"  # written last: what lacks it was interrupted and is made anew
        if not complete.exists():
            _run([sys.executable, "-m", "venv", "--clear", str(environment)])
            _run([str(interpreter), "-m", "pip", "install", "--quiet", "--requirement", str(requirements)])
            _generate_python(interpreter)
            complete.touch()
    # -B: no __pycache__ in the checkout.
    start = [str(interpreter), "-B"]
    return Participant(
        "python", [*start, str(PEERS / "python" / "server.py")], [*start, str(PEERS / "python" / "client.py")]
    )


def _generate_python(interpreter: Path) -> None:
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    modules = _run([str(interpreter), "-c", where]).strip()
    outputs = [f"--python_out={modules}", f"--grpc_python_out={modules}"]
    _run([str(interpreter), "-m", "grpc_tools.protoc", f"-I{PROTO.parent}", *outputs, PROTO.name])


def _go_build(source: Path, into: Path, server: str, client: str) -> tuple[list[str], list[str]]:
    if not shutil.which("go"):
        raise Missing("there is no go on PATH")
    with _only_builder():
        into.mkdir(parents=True, exist_ok=True)
        # -trimpath: what is built does not depend on where the source lies, so Go's cache serves copies of it too.
        _run(["go", "build", "-trimpath", "-buildvcs=false", "-o", f"{into}/", server, client], cwd=source)
    return [str(into / "server")], [str(into / "client")]


@contextlib.contextmanager
def _only_builder() -> Iterator[None]:
    """Two runs at the same time would otherwise build into one place."""
    BUILT.mkdir(parents=True, exist_ok=True)
    with open(BUILT / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(command: list[str], cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=BUILD_LIMIT, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise BuildFailed(f"{' '.join(command)} took more than {BUILD_LIMIT} s") from None
    if done.returncode != 0:
        raise BuildFailed(f"{' '.join(command)} exited {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def main() -> None:
    try:
        commands = {peer.name: {"server": peer.server, "client": peer.client} for peer in (go(), python())}
    except (Missing, BuildFailed) as failure:
        sys.exit(f"scripts/peers.py: {failure}")
    print(json.dumps(commands, indent=2))


if __name__ == "__main__":
    main()
