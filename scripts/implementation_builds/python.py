"""Role: sets up the implementation on Python's grpcio: a virtual environment with grpcio and the code generated from the
proto."""

from __future__ import annotations

import hashlib
import importlib.util
import platform
import sys
from pathlib import Path

from .common import BUILT, IMPLEMENTATIONS, PROTO, Missing, Participant, only_builder, run, version_in

SOURCE = IMPLEMENTATIONS / "python"
REQUIREMENTS = SOURCE / "requirements.txt"


def python() -> Participant:
    if not all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        raise Missing("this python3 cannot make virtual environments (Debian: apt-get install python3-venv)")
    # -B: no __pycache__ in the checkout.
    start = [str(_interpreter()), "-B"]
    server, client, load = ([*start, str(SOURCE / f"{program}.py")] for program in ("server", "client", "load"))
    grpcio = version_in(REQUIREMENTS, r"^grpcio==(.+)$")
    return Participant("python", server, client, load, f"grpcio {grpcio}, Python {platform.python_version()}")


def _interpreter() -> Path:
    """Returns the interpreter of the environment, which is created when requirements, proto or Python change."""
    version = "{}.{}".format(*sys.version_info)
    key = hashlib.sha256(version.encode() + REQUIREMENTS.read_bytes() + PROTO.read_bytes()).hexdigest()[:16]
    environment = BUILT / f"python-venv-{key}"
    interpreter = environment / "bin" / "python"
    with only_builder():
        complete = environment / "complete"  # written last: an interrupted installation lacks it and is repeated
        if not complete.exists():
            run([sys.executable, "-m", "venv", "--clear", str(environment)])
            run([str(interpreter), "-m", "pip", "install", "--quiet", "--requirement", str(REQUIREMENTS)])
            _generate(interpreter)
            complete.touch()
    return interpreter


def _generate(interpreter: Path) -> None:
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    modules = run([str(interpreter), "-c", where]).strip()
    outputs = [f"--python_out={modules}", f"--grpc_python_out={modules}"]
    run([str(interpreter), "-m", "grpc_tools.protoc", f"-I{PROTO.parent}", *outputs, PROTO.name])
