#!/usr/bin/env python3
"""Role: builds the implementations in C and C++ (benches/implementations/ccore and cpp) on the C-core that cargo has built
for our own programs. It asks cargo for the path and leaves the rest to CMake; it compiles no C-core.

Usage: scripts/ccore_implementations.py DIRECTORY    builds into it and prints the commands as JSON:
                                           {"ccore": {"server": [...], "load": [...]}, "cpp-sync": ...}
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from implementation_builds.mirror import mirror

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ["proto", "benches/implementations/ccore", "benches/implementations/cpp", "benches/implementations/cmake"]

BUILD_LIMIT = 1800  # seconds for one command: cargo may have the C-core to build

Commands = dict[str, list[str]]

# The needed tools and headers, with the Debian or Ubuntu package of each.
TOOLS = {"cmake": "cmake", "ninja": "ninja-build", "c++": "g++", "protoc": "protobuf-compiler"}
HEADERS = {
    "google/protobuf/message.h": "libprotobuf-dev",
    "google/protobuf/compiler/code_generator.h": "libprotoc-dev",
    "openssl/ssl.h": "libssl-dev",
    "zlib.h": "zlib1g-dev",
    "CLI/CLI.hpp": "libcli11-dev",
    "nlohmann/json.hpp": "nlohmann-json3-dev",
}


class Missing(Exception):
    """Something outside the project is missing, such as a package."""


class BuildFailed(Exception):
    """A build failed."""


@dataclass(frozen=True)
class CCore:
    """The C-core of our programs: the source in the crate grpcio-sys, and the directory of its build."""

    source: Path
    build: Path


def build(into: Path, compiled: Path | None = None) -> dict[str, Commands]:
    """Builds on the C-core compiled in the directory `compiled`; on cargo's everyday one without it."""
    _check_packages()
    core = CCore(_source(), compiled or _compile_ccore())
    mirror(ROOT, SOURCES, into / "source")
    _configure(into, core)
    _run(["ninja", "-C", str(into)])
    return commands(into / "bin")


def commands(programs: Path) -> dict[str, Commands]:
    def cpp(api: str, *tuned: str) -> Commands:
        lean = ["--lean"] if tuned else []
        server = [str(programs / "cpp-server"), "--api", api, *tuned, *lean]
        return {"server": server, "load": [str(programs / "cpp-load"), "--api", api, *lean]}

    # As users write it, and tuned: with the buffer hint, and the C-core configured like the fanstream programs.
    hints = ["--flush-every", "64"]
    return {
        "ccore": {
            "server": [str(programs / "ccore-server"), "--lean"],
            "load": [str(programs / "ccore-load"), "--lean"],
        },
        "ccore-framed": {
            "server": [str(programs / "ccore-server"), "--framed"],
            "load": [str(programs / "ccore-load"), "--framed"],
        },
        "cpp-sync": cpp("sync"),
        "cpp-sync-hinted": cpp("sync", *hints),
        "cpp-callback": cpp("callback"),
        "cpp-callback-hinted": cpp("callback", *hints),
    }


def _check_packages() -> None:
    lacking = [package for tool, package in TOOLS.items() if not shutil.which(tool)]
    if "g++" not in lacking:
        lacking += [package for header, package in HEADERS.items() if not _has_header(header)]
    if lacking:
        raise Missing(f"install the packages for the implementations in C++: apt-get install -y {' '.join(lacking)}")


def _has_header(header: str) -> bool:
    check = ["c++", "-E", "-x", "c++", "-", "-o", "/dev/null"]
    return subprocess.run(check, input=f"#include <{header}>\n", capture_output=True, text=True).returncode == 0


def _compile_ccore() -> Path:
    """Builds the C-core if needed, with scripts/env: with other settings cargo would build another one."""
    for line in _cargo("build --release --locked --lib --message-format=json").splitlines():
        message = json.loads(line)
        if message["reason"] == "build-script-executed" and "grpcio-sys" in message["package_id"]:
            return Path(message["out_dir"]) / "build"
    raise BuildFailed("the output of cargo build does not mention grpcio-sys")


def _source() -> Path:
    packages = json.loads(_cargo("metadata --format-version=1 --locked"))["packages"]
    (manifest,) = (Path(package["manifest_path"]) for package in packages if package["name"] == "grpcio-sys")
    return manifest.parent / "grpc"


def _cargo(arguments: str) -> str:
    environment = shlex.quote(str(ROOT / "scripts" / "env"))
    return _run(["bash", "-c", f"set -e; . {environment}; cargo {arguments}"], cwd=ROOT)


def _configure(into: Path, core: CCore) -> None:
    """Runs CMake if the C-core has changed: ninja itself runs it again for a changed CMake file."""
    project = into / "source" / "benches" / "implementations" / "cmake"
    wanted = ["-S", str(project), f"-DCCORE_SOURCE={core.source}", f"-DCCORE_BUILD={core.build}"]
    configured = into / "configured"  # written last: an interrupted run lacks it
    if configured.exists() and configured.read_text().splitlines() == wanted:
        return
    configured.unlink(missing_ok=True)
    (into / "CMakeCache.txt").unlink(missing_ok=True)  # of another project, perhaps
    # No toolchain file: CMAKE_TOOLCHAIN_FILE is the C-core's.
    settings = ["-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_TOOLCHAIN_FILE=", *wanted]
    _run(["cmake", "-G", "Ninja", "-B", str(into), *settings])
    configured.write_text("\n".join(wanted) + "\n")


def _run(command: list[str], cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command, cwd=cwd, capture_output=True, text=True, timeout=BUILD_LIMIT, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise BuildFailed(f"{shlex.join(command)} took more than {BUILD_LIMIT} s") from None
    if done.returncode != 0:
        raise BuildFailed(f"{shlex.join(command)} exited {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    try:
        print(json.dumps(build(Path(sys.argv[1]).resolve()), indent=2))
    except (Missing, BuildFailed) as failure:
        sys.exit(f"scripts/ccore_implementations.py: {failure}")


if __name__ == "__main__":
    main()
