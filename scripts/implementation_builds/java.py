"""Role: builds the implementation on grpc-java with Maven, and selects the JDK that compiles and runs it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from .common import BUILT, IMPLEMENTATIONS, ROOT, Missing, Participant, only_builder, run, version_in
from .mirror import mirror

SOURCE = IMPLEMENTATIONS / "java"
PARTS = ["proto", str(SOURCE.relative_to(ROOT))]

OLDEST = 17

# Until the compiler has optimised the hot code: on a slow core a call of five costs the server 8 times as much at first,
# and twice as much after ten seconds.
WARM_UP = 20.0  # seconds


def java() -> Participant:
    if not shutil.which("mvn"):
        raise Missing("mvn is not on PATH; Maven is at https://maven.apache.org")
    home, version = _newest_jdk()
    major = int(version.partition(".")[0])
    target = _build(home)
    start = [str(home / "bin" / "java"), *_flags(major), "-cp", f"{target / 'classes'}:{target / 'dependency'}/*"]
    grpc = version_in(SOURCE / "pom.xml", r"<grpc\.version>(.+)</grpc\.version>")
    return Participant(
        "java",
        [*start, "fanstream.Server"],
        load=[*start, "fanstream.Load"],
        version=f"grpc-java {grpc}, JDK {version}",
        warm_up=WARM_UP,
    )


def _flags(major: int) -> list[str]:
    """The JVM's own choices stay. These flags only permit what newer JDKs warn about: native libraries, and Unsafe in
    Netty and protobuf."""
    flags = {22: "--enable-native-access=ALL-UNNAMED", 23: "--sun-misc-unsafe-memory-access=allow"}
    return [flag for since, flag in flags.items() if major >= since]


def _newest_jdk() -> tuple[Path, str]:
    jdks = [(home, version) for home in _homes() if (version := _version(home))]
    if not jdks:
        raise Missing(f"there is no JDK {OLDEST} or newer in JAVA_HOME, /usr/lib/jvm or on PATH: https://adoptium.net")
    return max(jdks, key=lambda jdk: [int(part) for part in jdk[1].split(".")])


def _homes() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    yield from sorted(Path("/usr/lib/jvm").glob("*"))
    if javac := shutil.which("javac"):
        yield Path(javac).resolve().parent.parent


def _version(home: Path) -> str | None:
    """The version of the JDK in this directory; None if there is none, or an older one."""
    release = home / "release"
    if not (home / "bin" / "javac").is_file() or not release.is_file():
        return None
    match = re.search(r'^JAVA_VERSION="(\d+(?:\.\d+)*)', release.read_text(), re.MULTILINE)
    return match[1] if match and int(match[1].partition(".")[0]) >= OLDEST else None


def _build(home: Path) -> Path:
    """Builds a copy if the sources or the JDK have changed, since Maven takes seconds to find that nothing has."""
    source, target, complete = (BUILT / "java" / name for name in ("source", "target", "complete"))
    with only_builder():
        mirror(ROOT, PARTS, source)
        files = sorted(file for file in source.rglob("*") if file.is_file())
        digest = hashlib.sha256(str(home).encode())
        for file in files:
            digest.update(str(file.relative_to(source)).encode() + file.read_bytes())
        key = digest.hexdigest()
        # Written last: an interrupted build lacks it and is repeated.
        if not complete.is_file() or complete.read_text() != key:
            complete.unlink(missing_ok=True)
            shutil.rmtree(target, ignore_errors=True)
            maven = ["mvn", "--batch-mode", "--quiet", f"-Dtarget={target}", "process-classes"]
            run(["env", f"JAVA_HOME={home}", *maven], cwd=source / SOURCE.relative_to(ROOT))
            complete.write_text(key)
    return target
