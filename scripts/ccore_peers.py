#!/usr/bin/env python3
"""Role: builds the peers in C and C++ (benches/peers/ccore, benches/peers/cpp) on the C-core that cargo has built for our
own programs. It asks cargo where that is, and leaves the rest to CMake; it compiles no C-core.

Usage: scripts/ccore_peers.py DIRECTORY    builds into it and prints the commands as JSON:
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

from peer_builds.mirror import mirror

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ["proto", "benches/peers/ccore", "benches/peers/cpp", "benches/peers/cmake"]

BUILD_LIMIT = 1800  # seconds for one command: cargo may have the C-core to build

Commands = dict[str, list[str]]

# What each needs, and the package of Debian or Ubuntu that has it.
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
    """Something outside the project is not there, such as a package."""


class BuildFailed(Exception):
    """What is there does not build."""


@dataclass(frozen=True)
class CCore:
    """The C-core of our programs: the source that the crate grpcio-sys ships, and what cargo has made of it."""

    source: Path
    build: Path


def build(into: Path) -> dict[str, Commands]:
    _check_packages()
    core = _find_ccore()
    mirror(ROOT, SOURCES, into / "source")
    _configure(into, core)
    _run(["ninja", "-C", str(into)])
    return commands(into / "bin")


def commands(programs: Path) -> dict[str, Commands]:
    def cpp(api: str, *tuned: str) -> Commands:
        lean = ["--lean"] if tuned else []
        server = [str(programs / "cpp-server"), "--api", api, *tuned, *lean]
        return {"server": server, "load": [str(programs / "cpp-load"), "--api", api, *lean]}

    # As people write it; and with the buffer hint, and the C-core set as the fanstream programs set it.
    hints = ["--flush-every", "64"]
    return {
        "ccore": {
            "server": [str(programs / "ccore-server"), "--lean"],
            "load": [str(programs / "ccore-load"), "--lean"],
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
        raise Missing(f"install what the peers in C++ need: apt-get install -y {' '.join(lacking)}")


def _has_header(header: str) -> bool:
    check = ["c++", "-E", "-x", "c++", "-", "-o", "/dev/null"]
    return subprocess.run(check, input=f"#include <{header}>\n", capture_output=True, text=True).returncode == 0


def _find_ccore() -> CCore:
    """Builds it where it is not there yet. scripts/env: with other settings cargo would build another one."""
    for line in _cargo("build --release --locked --lib --message-format=json").splitlines():
        message = json.loads(line)
        if message["reason"] == "build-script-executed" and "grpcio-sys" in message["package_id"]:
            return CCore(_source_of(message["package_id"]), Path(message["out_dir"]) / "build")
    raise BuildFailed("cargo build says nothing of grpcio-sys")


def _source_of(package: str) -> Path:
    metadata = json.loads(_cargo("metadata --format-version=1 --locked"))
    manifests = {known["id"]: Path(known["manifest_path"]) for known in metadata["packages"]}
    return manifests[package].parent / "grpc"


def _cargo(arguments: str) -> str:
    environment = shlex.quote(str(ROOT / "scripts" / "env"))
    return _run(["bash", "-c", f"set -e; . {environment}; cargo {arguments}"], cwd=ROOT)


def _configure(into: Path, core: CCore) -> None:
    """Only when the C-core is another one: ninja runs CMake again by itself when a file of CMake's has changed."""
    project = into / "source" / "benches" / "peers" / "cmake"
    wanted = ["-S", str(project), f"-DCCORE_SOURCE={core.source}", f"-DCCORE_BUILD={core.build}"]
    configured = into / "configured"  # written last: what lacks it was interrupted
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
        sys.exit(f"scripts/ccore_peers.py: {failure}")


if __name__ == "__main__":
    main()
