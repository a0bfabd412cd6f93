"""Role: the processes of a check. Each ends with its block, or after LIMIT. It knows no check."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from implementation_builds.common import Participant

from .expect import CheckFailed, expect

LIMIT = 30.0  # seconds for a process; one that reaches it hangs
PROMPTLY = 5.0  # seconds for a server without open streams to end; a worker that held it would take twice as long


class Child:
    """A process that ends with its with-block, after LIMIT, or with this program. It is killed by its id."""

    _alive: ClassVar[set[Child]] = set()
    _closed = False
    _lock = threading.Lock()  # protects both

    def __init__(self, role: str, command: list[str], merge_output: bool = False) -> None:
        self._role = role
        self._timed_out = False
        self._errors = tempfile.TemporaryFile()  # a file: a pipe could fill and block the program
        with Child._lock:
            if Child._closed:
                raise CheckFailed("interrupted")
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merge_output else self._errors,
                encoding="utf-8",
                env=_environment(),
            )
            Child._alive.add(self)
        assert self._process.stdout
        self._output = self._process.stdout
        self._timer = threading.Timer(LIMIT, self._end_overdue)
        self._timer.start()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        self._timer.cancel()
        self._process.kill()
        self._process.wait()
        with Child._lock:
            Child._alive.discard(self)
        if isinstance(error, CheckFailed) and (errors := self.errors()):
            error.notes.append(f"{self._role}, standard error:\n{errors[-800:].rstrip()}")
        self._output.close()
        self._errors.close()

    def lines(self) -> Iterator[tuple[float, str]]:
        """Yields each further line of standard output with the time of its arrival."""
        for line in self._output:
            yield time.monotonic(), line.rstrip("\n")

    def running(self) -> bool:
        return self._process.poll() is None

    def terminate(self) -> None:
        self._process.terminate()

    def exit_code(self, limit: float = LIMIT) -> int:
        """Waits for the end of the process."""
        try:
            code = self._process.wait(limit)
        except subprocess.TimeoutExpired:
            raise CheckFailed(f"{self._role}: expected its end within {limit:g} s, it still runs") from None
        if self._timed_out:
            raise CheckFailed(f"{self._role}: expected its end within {LIMIT:g} s, it had to be killed")
        return code

    def errors(self) -> str:
        """Returns standard error so far."""
        # Not read(): that would move the offset at which the process writes.
        return os.pread(self._errors.fileno(), 1 << 20, 0).decode(errors="replace")

    def _end_overdue(self) -> None:
        self._timed_out = True
        self._process.kill()

    @classmethod
    def end_all(cls) -> None:
        """Kills all processes and prevents new ones, after an interrupt."""
        with cls._lock:
            cls._closed = True
            for child in cls._alive:
                child._process.kill()


def _environment() -> dict[str, str]:
    """This environment without proxies: the C-core would use one for localhost too."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


@dataclass
class Server:
    process: Child
    address: str

    def stop(self) -> None:
        """Stops a server without open streams: it must exit at once, with 0."""
        self.process.terminate()
        expect("exit code of the server after SIGTERM", self.process.exit_code(PROMPTLY), 0)


@contextlib.contextmanager
def serving(server: Participant, *flags: str) -> Iterator[Server]:
    """Runs a server on a free port. At the end of the block the server is stopped, and must exit with 0."""
    command = [*server.server, "--listen", "127.0.0.1:0", *flags]
    with Child(f"{server.name} server", command) as process:
        announced = next((line for _, line in process.lines()), "")
        match = re.fullmatch(r"listening on (\S+:\d+)", announced)
        if not match:
            raise CheckFailed(f"first line of the server: expected 'listening on HOST:PORT', saw {announced!r}")
        running = Server(process, match[1])
        yield running
        if process.running():
            running.stop()


def call(client: Participant, server: Server, *flags: str) -> Child:
    return Child(f"{client.name} client", [*client.client, "--addr", server.address, *flags])
