"""Role: installs the implementation on grpc-js: copies it, the proto and its packages, laid out as in the checkout.

A copy is needed because Node looks for packages beside the program, and nothing is installed into the checkout.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from .common import BUILT, IMPLEMENTATIONS, PROTO, ROOT, Missing, Participant, only_builder, run

SOURCE = IMPLEMENTATIONS / "node"
OLDEST = 20  # as package.json says


def node() -> Participant:
    interpreter = shutil.which("node")
    if not interpreter or not shutil.which("npm"):
        raise Missing(f"node or npm is not on PATH; Node {OLDEST} or newer has both: https://nodejs.org")
    version = run([interpreter, "--version"]).strip().removeprefix("v")
    if int(version.partition(".")[0]) < OLDEST:
        raise Missing(f"{interpreter} is {version}, and Node {OLDEST} or newer is needed: https://nodejs.org")
    lock = SOURCE / "package-lock.json"
    installed = _install(lock)
    server, client, load = ([interpreter, str(installed / f"{name}.js")] for name in ("server", "client", "load"))
    grpc_js = json.loads(lock.read_text())["packages"]["node_modules/@grpc/grpc-js"]["version"]
    return Participant("node", server, client, load, f"grpc-js {grpc_js}, Node {version}")


def _install(lock: Path) -> Path:
    """Installs the packages when the lock file changes, and copies the programs every time."""
    key = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    root = BUILT / f"node-{key}"
    copy = root / SOURCE.relative_to(ROOT)
    with only_builder():
        shutil.copytree(SOURCE, copy, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules"))
        proto = root / PROTO.relative_to(ROOT)
        proto.parent.mkdir(exist_ok=True)
        shutil.copy(PROTO, proto)
        complete = root / "complete"  # written last: an interrupted installation lacks it and is repeated
        if not complete.exists():
            run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=copy)
            complete.touch()
    return copy
