"""Role: installs published third-party programs, each in a fixed version, into
${XDG_CACHE_HOME:-~/.cache}/fanstream/tools."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path

from .common import CACHE, Missing, run

TOOLS = CACHE / "tools"


@contextlib.contextmanager
def installing(tool: str, version: str) -> Iterator[tuple[Path, bool]]:
    """Yields the directory of a tool and whether it must be installed; an interrupted installation is repeated."""
    TOOLS.mkdir(parents=True, exist_ok=True)
    place = TOOLS / f"{tool}-{version}"
    with open(TOOLS / f"{tool}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        complete = place / "complete"
        if complete.exists():
            yield place, False
        else:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            yield place, True
            complete.touch()


def go_tool(package: str, version: str) -> list[str]:
    name = package.rpartition("/")[2]
    with installing(name, version) as (place, wanted):
        if wanted:
            if not shutil.which("go"):
                raise Missing("go is not on PATH; Go 1.26 or newer is at https://go.dev/dl")
            run(["env", f"GOBIN={place}", "go", "install", "-trimpath", f"{package}@{version}"], cwd=place)
    return [str(place / name)]


def cargo_tool(package: str, version: str) -> list[str]:
    with installing(package, version) as (place, wanted):
        if wanted:
            # In a separate target directory, which is deleted afterwards.
            build = ["env", f"CARGO_TARGET_DIR={place / 'target'}", "cargo", "install", "--quiet", "--locked"]
            run([*build, "--version", version, "--root", str(place), package], cwd=place)
            shutil.rmtree(place / "target")
    return [str(place / "bin" / package)]


def npm_tool(package: str, name: str, version: str) -> list[str]:
    with installing(name, version) as (place, wanted):
        if wanted:
            if not shutil.which("npm"):
                raise Missing("npm is not on PATH; it comes with Node: https://nodejs.org")
            flags = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-save"]
            run(["npm", "install", *flags, "--prefix", str(place), f"{package}@{version}"], cwd=place)
    return [str(place / "node_modules" / ".bin" / name)]


def make_certificate(certificate: Path, key: Path) -> None:
    """Creates a self-signed certificate for this machine, and its key."""
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"]
    run(["openssl", "req", "-x509", *curve, *names, "-keyout", str(key), "-out", str(certificate)])
