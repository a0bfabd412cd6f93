#!/usr/bin/env python3
"""Role: builds the implementations that benches/README.md describes, and prints the command of each program.
scripts/implementation_builds has the build of each.

All output goes to ${XDG_CACHE_HOME:-~/.cache}/fanstream (our own cargo builds to $CARGO_TARGET_DIR if set), never into the
checkout.

Usage: scripts/implementations.py [NAME]...    builds all without a name; prints one JSON object:
  {"implementations": {"go": {"server": [...], "client": [...], "load": [...], "version": "grpc-go 1.85.0, go1.26.8"}, ...},
   "missing": {"node": "node is not on PATH …", ...}}
An implementation without a client or load client lacks that command. "produce" is the program that makes responses without
sending them. One with a JIT compiler has "warm_up_seconds" too.
An implementation without its toolchain is listed as missing; that is no failure. Exit status: 0 done, 1 a build failed, 2
wrong usage.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Callable

sys.dont_write_bytecode = True  # no __pycache__ in the checkout
from implementation_builds import ccore, golang, java, node, python, rust
from implementation_builds.common import BuildFailed, Missing, Participant

BUILDERS: dict[str, Callable[[], Participant]] = {
    "fanstream": rust.fanstream,
    "fanstream-direct": rust.fanstream_direct,
    "naive": rust.naive,
    **{name: functools.partial(ccore.ccore, name) for name in ccore.NAMES},
    "tonic": rust.tonic,
    "connectrpc": rust.connectrpc,
    "grpc-rs": rust.grpc_rs,
    "go": golang.go,
    "java": java.java,
    "python": python.python,
    "node": node.node,
}

# Only after scripts/release.
if rust.has_release():
    BUILDERS["fanstream-release"] = rust.fanstream_release
    BUILDERS |= {f"{name}-release": functools.partial(ccore.ccore, f"{name}-release") for name in ccore.NAMES}


def commands(implementation: Participant) -> dict[str, object]:
    programs = {
        "server": implementation.server,
        "client": implementation.client,
        "load": implementation.load,
        "produce": implementation.produce or implementation.server,
    }
    entry: dict[str, object] = {role: command for role, command in programs.items() if command}
    entry["version"] = implementation.version
    if implementation.warm_up:
        entry["warm_up_seconds"] = implementation.warm_up
    return entry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"of {', '.join(BUILDERS)}")
    names: list[str] = parser.parse_args().names or list(BUILDERS)
    if unknown := [name for name in names if name not in BUILDERS]:
        parser.error(f"no implementation is called {', '.join(unknown)}; there are {', '.join(BUILDERS)}")
    implementations, missing = {}, {}
    for name in dict.fromkeys(names):
        print(f"scripts/implementations.py: {name}", file=sys.stderr, flush=True)  # a first build takes its time
        try:
            implementations[name] = commands(BUILDERS[name]())
        except Missing as reason:
            missing[name] = str(reason)
        except BuildFailed as failure:
            sys.exit(f"scripts/implementations.py: {name}: {failure}")
    print(json.dumps({"implementations": implementations, "missing": missing}, indent=2))


if __name__ == "__main__":
    main()
