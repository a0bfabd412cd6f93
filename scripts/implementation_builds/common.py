"""Role: code that all builds share: their results, errors, directories and commands."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
IMPLEMENTATIONS = ROOT / "benches" / "implementations"
PROTO = ROOT / "proto" / "stream.proto"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fanstream"
BUILT = CACHE / "implementations"

BUILD_TIMEOUT = 900  # seconds for one command of a build; the first downloads everything


class Missing(Exception):
    """Something outside the project is missing, such as a toolchain."""


class BuildFailed(Exception):
    """A build failed."""


@dataclass(frozen=True)
class Participant:
    """The commands of an implementation's programs; empty if it lacks one."""

    name: str
    server: list[str]
    client: list[str] = field(default_factory=list)
    load: list[str] = field(default_factory=list)
    version: str = ""
    warm_up: float = 0.0  # seconds under load until a JIT compiler has optimised the hot code
    takes_flags: bool = True
    produce: list[str] = field(default_factory=list)  # makes responses without sending them; by default the server


def run(command: list[str], cwd: Path | None = None, limit: float = BUILD_TIMEOUT) -> str:
    """Runs a command and returns its standard output."""
    try:
        done = subprocess.run(
            command, check=False, cwd=cwd, capture_output=True, text=True, timeout=limit, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise BuildFailed(f"{' '.join(command)} took more than {limit:g} s") from None
    if done.returncode != 0:
        raise BuildFailed(f"{' '.join(command)} exited {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


@contextlib.contextmanager
def only_builder() -> Iterator[None]:
    """Keeps two runs from building into the same directory at the same time."""
    BUILT.mkdir(parents=True, exist_ok=True)
    with open(BUILT / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def version_in(file: Path, pattern: str) -> str:
    """Returns the first group of the pattern in a lock file."""
    match = re.search(pattern, file.read_text(), re.MULTILINE)
    if not match:
        raise BuildFailed(f"{file} names no version: nothing matches {pattern!r}")
    return match[1]
