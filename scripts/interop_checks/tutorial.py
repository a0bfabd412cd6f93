"""Role: the check without flags, on the tutorial's port."""

from __future__ import annotations

import contextlib
import itertools
import socket
import time
from concurrent import futures

from implementation_builds.common import Participant

from .expect import CheckFailed, Outcome, expect, expect_between, run_check
from .output import TUTORIAL_LINES, expect_server_log, without_stamps
from .process import LIMIT, PROMPTLY, Child

TUTORIAL_ADDRESS = ("localhost", 50005)


def check_tutorial(server: Participant, clients: list[Participant]) -> list[Outcome]:
    """Runs one server with all its clients at the same time, since a run takes four seconds. Returns an outcome for
    each client."""
    try:
        expect_free_tutorial_port()
        with Child(f"{server.name} server", server.server) as process:
            wait_until_accepting(process)
            with futures.ThreadPoolExecutor(len(clients)) as pool:
                outcomes = list(pool.map(lambda client: run_check("tutorial", expect_tutorial_lines, client), clients))
            process.terminate()
            code = process.exit_code(PROMPTLY)
            if server.takes_flags:  # the original does not handle signals
                expect("exit code of the server after SIGTERM", code, 0)
            if all(outcome.failure is None for outcome in outcomes):
                expect_server_log(process, calls=len(clients))
        return outcomes
    except CheckFailed as failure:
        return [Outcome("tutorial", failure.report())] * len(clients)


def expect_tutorial_lines(client: Participant) -> None:
    """Five lines, about a second apart, then `finished`."""
    # Merged, since the original logs to standard error.
    with Child(f"{client.name} client", client.client, merge_output=True) as process:
        seen = list(process.lines())
        expect("lines", without_stamps([line for _, line in seen]), TUTORIAL_LINES)
        expect("exit code of the client", process.exit_code(), 0)
    arrivals = [arrival for arrival, _ in seen]
    for k, (earlier, later) in enumerate(itertools.pairwise(arrivals[:5])):
        expect_between(f"seconds between responses {k} and {k + 1}", later - earlier, 0.2, 3)


def expect_free_tutorial_port() -> None:
    with socket.socket(socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of the run before do not count
        try:
            probe.bind(("", TUTORIAL_ADDRESS[1]))
        except OSError as error:
            raise CheckFailed(
                f"port {TUTORIAL_ADDRESS[1]}: expected it free, another program has it: {error}"
            ) from None


def wait_until_accepting(server: Child) -> None:
    end = time.monotonic() + LIMIT
    while time.monotonic() < end and server.running():
        with contextlib.suppress(OSError), socket.create_connection(TUTORIAL_ADDRESS, timeout=1):
            return
        time.sleep(0.02)  # between two attempts
    raise CheckFailed(f"the server: expected it to accept on {TUTORIAL_ADDRESS}, it does not")
