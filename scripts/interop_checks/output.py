"""Role: reads and checks the output of clients and the logs of servers. It knows no check."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from implementation_builds.common import Participant

from .expect import CheckFailed, expect, expect_between, short
from .process import Child, Server, call

# The tolerance of a response's due time. Clocks tick, and a busy machine may take a second to start a program's first
# call; still, a stream that arrives in one piece at its end must fail, so checks of times use streams of 2 seconds.
EARLY_MS, LATE_MS = 20, 1500


@dataclass(frozen=True)
class Row:
    """One response, as --format json prints it."""

    id: int
    sequence: int
    elapsed_ms: float
    result: str

    @staticmethod
    def parse(line: str) -> Row:
        fields = json_object(line)
        expect("fields of a line", list(fields), ["id", "sequence", "elapsed_ms", "result"])
        return Row(**fields)


def json_object(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise CheckFailed(f"a line of the client: expected a JSON object, saw {short(line)}")
    return value


def fetch(client: Participant, server: Server, *flags: str, exit_code: int = 0, status: str = "") -> list[Row]:
    """Returns the responses. The client must exit with `exit_code`, and a failed one must print `status`."""
    with call(client, server, "--format", "json", *flags) as process:
        rows = [Row.parse(line) for _, line in process.lines()]
        expect_end(process, exit_code, status)
    return rows


def expect_end(process: Child, exit_code: int, status: str) -> None:
    expect("exit code of the client", process.exit_code(), exit_code)
    if not re.search(status, process.errors()):
        raise CheckFailed(f"standard error of the client: expected {status}, saw {process.errors()!r}")


def text(k: int, request_id: int = 1) -> str:
    return f"Request #{k} For Id:{request_id}"


TUTORIAL_LINES = [*(f"Resp received: {text(k)}" for k in range(5)), "finished"]


def expect_complete(rows: list[Row], request_id: int, count: int) -> None:
    seen = [(row.sequence, row.result) for row in rows if row.id == request_id]
    expect(f"responses for id {request_id}", seen, [(k, text(k, request_id)) for k in range(count)])


def expect_times(rows: list[Row], step_ms: int) -> None:
    for row in rows:
        due = row.sequence * step_ms
        expect_between(f"milliseconds until {row.result!r}", row.elapsed_ms, due - EARLY_MS, due + LATE_MS)


def without_stamps(lines: list[str]) -> list[str]:
    """Log lines without their stamp, which must be that of Go's package log."""
    for line in lines:
        if not re.match(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ", line):
            raise CheckFailed(f"a log line: expected 'YYYY/MM/DD HH:MM:SS …', saw {short(line)}")
    return [line[20:] for line in lines]


def expect_server_log(process: Child, calls: int) -> None:
    """Checks the log of a stopped server that answered `calls` calls for id 1 with five responses each. Later lines
    about the shutdown may differ."""
    of_a_call = ["fetch response for id : 1", *(f"finishing request number : {k}" for k in range(5))]
    wanted = ["start server", *of_a_call * calls]
    seen = without_stamps(process.errors().splitlines())[: len(wanted)]
    if calls > 1:  # their lines mix
        expect("log of the server, sorted", sorted(seen), sorted(wanted))
    else:
        expect("log of the server", seen, wanted)
