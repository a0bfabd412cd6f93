#!/usr/bin/env python3
"""Role: builds the programs that speak the contract of proto/stream.proto, which benches/peers/README.md describes, and says
how to start them. How each is built is in scripts/peer_builds.

Everything built goes to ${XDG_CACHE_HOME:-~/.cache}/fanstream (what cargo builds of ours: to $CARGO_TARGET_DIR where that
is set), nothing into the checkout.

Usage: scripts/peers.py [NAME]...    all of them without a name; prints one JSON object:
  {"peers": {"go": {"server": [...], "client": [...], "load": [...], "version": "grpc-go 1.85.0, go1.26.8"}, ...},
   "missing": {"node": "there is no node …", ...}}
A peer that has no client or no load client lacks that command. One whose toolchain is not there is missing, and that is no
failure; one that does not build is. Exit status: 0 done, 1 a build failed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from collections.abc import Callable

sys.dont_write_bytecode = True  # no __pycache__ in the checkout
from peer_builds import ccore, golang, node, python, rust
from peer_builds.common import BuildFailed, Missing, Participant

BUILDERS: dict[str, Callable[[], Participant]] = {
    "fanstream": rust.fanstream,
    "naive": rust.naive,
    **{name: functools.partial(ccore.ccore, name) for name in ccore.NAMES},
    "tonic": rust.tonic,
    "go": golang.go,
    "python": python.python,
    "node": node.node,
}


def commands(peer: Participant) -> dict[str, object]:
    programs = {"server": peer.server, "client": peer.client, "load": peer.load}
    return {**{role: command for role, command in programs.items() if command}, "version": peer.version}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"of {', '.join(BUILDERS)}")
    names: list[str] = parser.parse_args().names or list(BUILDERS)
    if unknown := [name for name in names if name not in BUILDERS]:
        parser.error(f"no peer is called {', '.join(unknown)}; there are {', '.join(BUILDERS)}")
    peers, missing = {}, {}
    for name in dict.fromkeys(names):
        print(f"scripts/peers.py: {name}", file=sys.stderr, flush=True)  # a first build takes its time
        try:
            peers[name] = commands(BUILDERS[name]())
        except Missing as reason:
            missing[name] = str(reason)
        except BuildFailed as failure:
            sys.exit(f"scripts/peers.py: {name}: {failure}")
    print(json.dumps({"peers": peers, "missing": missing}, indent=2))


if __name__ == "__main__":
    main()
