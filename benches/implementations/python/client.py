"""The client on Python's grpcio, synchronous API: the same flags, output formats and exit codes as fanstream's.

scripts/implementation_builds/python.py generates the modules stream_pb2 and stream_pb2_grpc.
"""

import argparse
import json
import re
import sys
import time
from concurrent import futures
from dataclasses import dataclass

import grpc
import grpc.experimental
import stream_pb2
import stream_pb2_grpc
from common import duration, natural, stamped_logger

# What the process ends with; 2 is argparse's own for wrong usage.
EXIT_UNREACHABLE = 3  # UNAVAILABLE before any response
EXIT_TIMED_OUT = 4
EXIT_FAILED = 5  # any other status

# Reads each stream in the thread that iterates it, instead of handing every message over from another one: three times
# as fast.
CHANNEL_OPTIONS = [(grpc.experimental.ChannelOptions.SingleThreadedUnaryStream, 1)]


@dataclass
class Tally:
    """What a summary counts. Each call keeps its own; they are added up at the end."""

    responses: int = 0
    bytes: int = 0
    first_ms: float | None = None

    def __add__(self, other: "Tally") -> "Tally":
        first = min((t.first_ms for t in (self, other) if t.first_ms is not None), default=None)
        return Tally(self.responses + other.responses, self.bytes + other.bytes, first)


@dataclass
class Outcome:
    """How one call ended."""

    tally: Tally
    status: grpc.StatusCode = grpc.StatusCode.OK
    details: str | None = None

    def exit_code(self) -> int:
        if self.status is grpc.StatusCode.OK:
            return 0
        if self.status is grpc.StatusCode.UNAVAILABLE and self.tally.responses == 0:
            return EXIT_UNREACHABLE
        return EXIT_TIMED_OUT if self.status is grpc.StatusCode.DEADLINE_EXCEEDED else EXIT_FAILED


class Printer:
    """Standard output in the chosen format; every line is there to be seen when it is written."""

    def __init__(self, output_format: str, quiet: bool) -> None:
        self._format = output_format
        self._quiet = quiet
        self._tutorial = stamped_logger("client", sys.stdout)

    def response(self, request_id: int, sequence: int, elapsed_ms: float, result: str) -> None:
        if self._quiet:
            return
        if self._format == "tutorial":
            self._tutorial.info("Resp received: %s", result)
        elif self._format == "text":
            _print_line(result)
        else:
            line = {"id": request_id, "sequence": sequence, "elapsed_ms": elapsed_ms, "result": result}
            _print_line(json.dumps(line, ensure_ascii=False, separators=(",", ":")))

    def finish(self, outcome: Outcome, duration_ms: float) -> None:
        tally, status = outcome.tally, outcome.status.name
        if self._quiet and self._format == "json":
            _print_line(
                json.dumps({**vars(tally), "duration_ms": duration_ms, "status": status}, separators=(",", ":"))
            )
        elif self._quiet:
            _print_line(f"{tally.responses} responses, {tally.bytes} bytes in {duration_ms} ms: {status}")
        elif self._format == "tutorial" and status == "OK":
            self._tutorial.info("finished")


def _print_line(line: str) -> None:
    # In one write, unlike print(): lines of several calls must not mix.
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def milliseconds_since(began: float) -> float:
    """With three decimals: nothing here is exact beyond a microsecond."""
    return round((time.perf_counter() - began) * 1000, 3)


def true_status(status: grpc.StatusCode, elapsed: float, timeout: float) -> grpc.StatusCode:
    """A grpc-go server ends a call that is past its deadline by RST_STREAM with the code CANCEL. The client is to look at
    its own clock then, but the C-core's is coarse: one time in seven it still says CANCELLED."""
    if status is grpc.StatusCode.CANCELLED and 0 < timeout <= elapsed:
        return grpc.StatusCode.DEADLINE_EXCEEDED
    return status


def fetch(
    stub: stream_pb2_grpc.StreamServiceStub, request_id: int, flags: argparse.Namespace, printer: Printer
) -> Outcome:
    tally = Tally()
    began = time.perf_counter()
    call = stub.FetchResponse(stream_pb2.Request(id=request_id), timeout=flags.timeout or None)
    try:
        for response in call:
            elapsed_ms = milliseconds_since(began)
            printer.response(request_id, tally.responses, elapsed_ms, response.result)
            if tally.responses == 0:
                tally.first_ms = elapsed_ms
            tally.responses += 1
            tally.bytes += len(response.result.encode())
            if tally.responses == flags.take:
                call.cancel()
                break
    except grpc.RpcError as error:
        return Outcome(tally, true_status(error.code(), time.perf_counter() - began, flags.timeout), error.details())
    return Outcome(tally)


def fetch_all(flags: argparse.Namespace, printer: Printer) -> Outcome:
    """Fetches every id at the same time over one channel. The status is the first failure's, in the order of the ids."""
    pool = futures.ThreadPoolExecutor(len(flags.id))
    with grpc.insecure_channel(flags.addr, CHANNEL_OPTIONS) as channel, pool:
        stub = stream_pb2_grpc.StreamServiceStub(channel)
        outcomes = list(pool.map(lambda request_id: fetch(stub, request_id, flags, printer), flags.id))
    worst = next((o for o in outcomes if o.status is not grpc.StatusCode.OK), outcomes[0])
    return Outcome(sum((o.tally for o in outcomes), Tally()), worst.status, worst.details)


def id_list(text: str) -> list[int]:
    """The ids of N, A-B or several of these with commas between them; an argparse type. Ids may be negative: -5--3."""
    ids: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"(-?\d+)(?:-(-?\d+))?", part)
        if not match:
            raise argparse.ArgumentTypeError(f"{part!r} is neither N nor A-B")
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if not -(2**31) <= first <= last < 2**31:
            raise argparse.ArgumentTypeError(f"{part!r} ends before it starts, or is no int32")
        ids.extend(range(first, last + 1))
    return ids


def parse_flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("--addr", default="localhost:50005", metavar="HOST:PORT", help="of the server")
    parser.add_argument("--id", type=id_list, default=[1], metavar="N[,N|A-B...]", help="ids to fetch, all at once")
    parser.add_argument(
        "--take", type=natural, default=0, metavar="N", help="cancel each call after N responses; 0 takes all"
    )
    parser.add_argument(
        "--timeout", type=duration, default=0.0, metavar="DURATION", help="a whole call may take; 0: no deadline"
    )
    parser.add_argument("--format", choices=["tutorial", "text", "json"], default="tutorial")
    parser.add_argument("--quiet", action="store_true", help="print no responses, only a closing summary")
    return parser.parse_args()


def main() -> int:
    flags = parse_flags()
    printer = Printer(flags.format, flags.quiet)
    began = time.perf_counter()
    outcome = fetch_all(flags, printer)
    printer.finish(outcome, milliseconds_since(began))
    if outcome.status is not grpc.StatusCode.OK:
        stamped_logger("errors", sys.stderr).error("can not receive: %s: %s", outcome.status.name, outcome.details)
    return outcome.exit_code()


if __name__ == "__main__":
    sys.exit(main())
