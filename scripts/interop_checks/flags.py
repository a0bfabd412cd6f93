"""Role: the checks of a server and a client that take flags, and of a client without a server."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from implementation_builds.common import Participant

from .expect import expect, expect_between
from .output import (
    EARLY_MS,
    TUTORIAL_LINES,
    Row,
    expect_complete,
    expect_end,
    expect_server_log,
    expect_times,
    fetch,
    json_object,
    text,
    without_stamps,
)
from .process import PROMPTLY, Child, Server, call, serving


def check_timed(server: Participant, client: Participant) -> None:
    """Five responses, each when it is due, and both logs."""
    with serving(server, "--responses", "5", "--step", "500ms") as running:
        rows = fetch(client, running)
        expect_complete(rows, 1, 5)
        expect_times(rows, 500)
        running.stop()
        expect_server_log(running.process, calls=1)


def check_fast(server: Participant, client: Participant) -> None:
    """Many responses without delay, in order; --log-level warn logs none of them."""
    count = 2000
    with serving(server, "--responses", str(count), "--step", "0s", "--log-level", "warn") as running:
        expect_complete(fetch(client, running), 1, count)
        expect("log of the server with --log-level warn", running.process.errors(), "")


def check_sizes(server: Participant, client: Participant) -> None:
    """Results cut, padded by one byte, and padded to more than a frame of HTTP/2."""
    for size in (7, len(text(0)) + 1, 65536):
        with serving(server, "--step", "0s", "--size", str(size)) as running:
            results = [row.result for row in fetch(client, running)]
            expect(f"results of {size} bytes", results, [text(k).ljust(size, ".")[:size] for k in range(5)])


def check_ids(server: Participant, client: Participant) -> None:
    """Several ids at once, the extreme ones too: each gets its own complete stream, and none waits for another."""
    ids = [-2147483648, 2147483647, -1, 0, 7, 8, 9]
    with serving(server, "--responses", "3", "--step", "1s") as running:
        rows = fetch(client, running, "--id=-2147483648,2147483647,-1,0,7-9")
    expect("ids", sorted({row.id for row in rows}), sorted(ids))
    for request_id in ids:
        expect_complete(rows, request_id, 3)
    expect_times(rows, 1000)
    first_to_end = next(i for i, row in enumerate(rows) if row.sequence == 2)
    expect("ids begun before the first one ended", len({row.id for row in rows[:first_to_end]}), len(ids))


def check_formats(server: Participant, client: Participant) -> None:
    """The same five responses in the other formats, and as a summary."""
    texts = [text(k) for k in range(5)]
    with serving(server, "--responses", "5", "--step", "0s") as running:
        tutorial = _output(client, running, "--format", "tutorial")
        plain = _output(client, running, "--format", "text")
        quiet = _output(client, running, "--format", "json", "--quiet", "--id", "1,1")
    expect("--format tutorial", without_stamps(tutorial), TUTORIAL_LINES)
    expect("--format text", plain, texts)
    expect("lines of --quiet", len(quiet), 1)
    summary = json_object(quiet[0])
    expect("fields of the summary", list(summary), ["responses", "bytes", "first_ms", "duration_ms", "status"])
    counts = summary["responses"], summary["bytes"], summary["status"]
    expect("summary of two calls", counts, (10, 2 * sum(map(len, texts)), "OK"))
    expect_between("first_ms", summary["first_ms"], 0, summary["duration_ms"])


def _output(client: Participant, server: Server, *flags: str) -> list[str]:
    with call(client, server, *flags) as process:
        lines = [line for _, line in process.lines()]
        expect_end(process, exit_code=0, status="")
    return lines


def check_cancel(server: Participant, client: Participant) -> None:
    """A client cancels its call after two responses. The server serves the next call, and stops at once, although the
    last worker of the first call would take nine seconds more."""
    with serving(server, "--responses", "20", "--step", "500ms") as running:
        began = time.monotonic()
        rows = fetch(client, running, "--take", "2")
        expect_between("seconds until the client ended", time.monotonic() - began, 0.5 - EARLY_MS / 1000, 6)
        expect_complete(rows, 1, 2)
        expect_times(rows, 500)
        expect_complete(fetch(client, running, "--take", "1", "--id", "2"), 2, 1)


def check_deadline(server: Participant, client: Participant) -> None:
    """Only responses that are due before the deadline arrive; the server drops the others."""
    with serving(server, "--responses", "40", "--step", "200ms") as running:
        rows = fetch(client, running, "--timeout", "2500ms", exit_code=4, status="DEADLINE_EXCEEDED")
    # 13 are due in time; a busy machine may take until the deadline for the last ones.
    expect_between("responses before the deadline", len(rows), 5, 13)
    expect_complete(rows, 1, len(rows))


def check_drain(server: Participant, client: Participant) -> None:
    """A server that gets SIGTERM during a stream finishes the stream, then exits."""
    with serving(server, "--responses", "5", "--step", "200ms") as running:
        rows = _fetch_while_stopping(client, running, exit_code=0, status="")
        expect("responses", sorted(row.result for row in rows), [text(k) for k in range(5)])
        expect("exit code of the server", running.process.exit_code(PROMPTLY), 0)


def check_grace(server: Participant, client: Participant) -> None:
    """A stream longer than the grace period ends with UNAVAILABLE or CANCELLED, and the server exits."""
    with serving(server, "--responses", "2", "--step", "20s", "--grace", "300ms") as running:
        rows = _fetch_while_stopping(client, running, exit_code=5, status="UNAVAILABLE|CANCELLED")
        expect_complete(rows, 1, 1)
        expect("exit code of the server", running.process.exit_code(PROMPTLY), 0)


def _fetch_while_stopping(client: Participant, server: Server, exit_code: int, status: str) -> list[Row]:
    """Sends the server SIGTERM after the first response."""
    with call(client, server, "--format", "json") as process:
        rows: list[Row] = []
        for _, line in process.lines():
            if not rows:
                server.process.terminate()
            rows.append(Row.parse(line))
        expect_end(process, exit_code, status)
    return rows


FLAG_CHECKS: dict[str, Callable[[Participant, Participant], None]] = {
    "timed": check_timed,
    "fast": check_fast,
    "sizes": check_sizes,
    "ids": check_ids,
    "formats": check_formats,
    "cancel": check_cancel,
    "deadline": check_deadline,
    "drain": check_drain,
    "grace": check_grace,
}


def check_unreachable(client: Participant) -> None:
    """A port without a listener. The socket stays bound, so that no other program can listen on it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{held.getsockname()[1]}"
        with Child(f"{client.name} client", [*client.client, "--addr", address, "--format", "json"]) as process:
            expect("output", [line for _, line in process.lines()], [])
            expect_end(process, exit_code=3, status="UNAVAILABLE")
