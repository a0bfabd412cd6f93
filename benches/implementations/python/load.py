"""The grpcio (Python) load client of the comparison, on the synchronous API: a thread for each call in flight. Its flags,
and output are the protocol of benches/README.md; it measures only its own calls.

scripts/implementation_builds/python.py generates the modules stream_pb2 and stream_pb2_grpc.
"""

import argparse
import itertools
import json
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterable
from concurrent import futures
from typing import Any

import grpc
import grpc.experimental
import stream_pb2
import stream_pb2_grpc
from common import duration, natural, positive, readable_file
from summary import Record, summarize

# With more threads than this one would measure how they wait for the interpreter's lock.
MAX_IN_FLIGHT = 1000

EXIT_FAILED = 1  # a call ended with another status than OK
EXIT_USAGE = 2


class Load:
    """The calls of one run, over channels that each have a TCP connection of their own."""

    def __init__(self, flags: argparse.Namespace) -> None:
        self._flags = flags
        self._timed = flags.samples or flags.step > 0
        self._channels = [open_channel(flags) for _ in range(flags.connections)]
        self._stubs = [stream_pb2_grpc.StreamServiceStub(channel) for channel in self._channels]
        self._began = 0
        self._released = threading.Event()  # stalled calls may end

    def connect(self) -> None:
        """Waits until each channel is connected or has failed to; its calls then have that as their status."""
        settled = [_settled(channel) for channel in self._channels]
        for event in settled:
            event.wait()

    def warm_up(self) -> None:
        """Makes the warm-up calls. All connections have one at the same time, even if fewer are measured at once."""
        at_once = max(self._flags.in_flight, self._flags.connections)
        self._run(self._flags.warm_up, min(at_once, MAX_IN_FLIGHT), self._drain)

    def measured(self) -> list[Record]:
        """The calls that count, to their ends."""
        self._began = time.perf_counter_ns()
        return self._run(self._flags.calls, self._flags.in_flight, self._fetch)

    def stalled(self, hold: Callable[[], None]) -> list[Record]:
        """Opens all calls, since no stalled call makes room for another. When each has its first response or has ended, it
        runs `hold` and then cancels the open calls."""
        calls = self._flags.calls
        answered = threading.Semaphore(0)
        self._began = time.perf_counter_ns()
        with futures.ThreadPoolExecutor(calls) as pool:
            records = [pool.submit(self._stall, i, answered) for i in range(calls)]
            for _ in range(calls):
                answered.acquire()
            hold()
            self._released.set()
            return [record.result() for record in records]

    def close(self) -> None:
        for channel in self._channels:
            channel.close()

    @staticmethod
    def _run(count: int, in_flight: int, call: Callable[[int], Record]) -> list[Record]:
        """As soon as one call ends, the next starts."""
        threads = min(in_flight, max(count, 1))
        numbers = iter(range(count))  # shared: a future for each call would cost a tenth of a short one
        with futures.ThreadPoolExecutor(threads) as pool:
            records = pool.map(lambda _: [call(i) for i in numbers], range(threads))
            return list(itertools.chain.from_iterable(records))

    def _drain(self, i: int) -> Record:
        try:
            for _ in self._open(i):
                pass
        except grpc.RpcError:
            pass  # if it is of any consequence, the measured calls meet it too
        return Record()

    def _fetch(self, i: int) -> Record:
        self._await_turn(i)
        record = Record(began=time.perf_counter_ns())
        self._read(i, self._open(i), record)
        record.ended = time.perf_counter_ns()
        return record

    def _stall(self, i: int, answered: threading.Semaphore) -> Record:
        self._await_turn(i)
        record = Record(began=time.perf_counter_ns())
        call = self._open(i)
        try:
            self._read(i, itertools.islice(call, 1), record)
        finally:
            answered.release()
        if record.messages:
            self._released.wait()
            call.cancel()
            record.status = grpc.StatusCode.CANCELLED.name
        record.ended = time.perf_counter_ns()
        return record

    def _open(self, i: int) -> Any:
        return self._stubs[i % len(self._stubs)].FetchResponse(stream_pb2.Request(id=self._flags.id + i))

    def _await_turn(self, i: int) -> None:
        """Blocks until the ramp lets call i start."""
        due = self._flags.ramp * i / self._flags.calls
        if (wait := due - (time.perf_counter_ns() - self._began) / 1e9) > 0:
            time.sleep(wait)

    def _read(self, i: int, responses: Iterable[stream_pb2.Response], record: Record) -> None:
        """Does only the work that the flags ask for, and calls nothing of its own for a response."""
        timed, printed = self._timed, self._flags.print
        try:
            for response in responses:
                if timed:
                    record.arrivals.append(time.perf_counter_ns())
                result = response.result  # makes a new string each time
                record.messages += 1
                record.bytes += len(result) if result.isascii() else len(result.encode())
                if printed:
                    # In one write, unlike print(): lines of several calls must not mix.
                    sys.stdout.write(f"{self._flags.id + i}\t{result}\n")
        except grpc.RpcError as error:
            record.status = error.code().name


def open_channel(flags: argparse.Namespace) -> grpc.Channel:
    options: list[tuple[str, Any]] = [
        # Reads each stream in the thread that iterates it, instead of handing every message over from another one: three
        # times as fast.
        (grpc.experimental.ChannelOptions.SingleThreadedUnaryStream, 1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.use_local_subchannel_pool", 1),  # channels to the same address share a connection otherwise
    ]
    if flags.window:
        # The stream's window; the connection's cannot be set. Without the probe the C-core leaves it as it is.
        options += [("grpc.http2.lookahead_bytes", flags.window), ("grpc.http2.bdp_probe", 0)]
    if flags.tls_ca is None:
        return grpc.insecure_channel(flags.addr, options)
    if flags.server_name:
        options.append(("grpc.ssl_target_name_override", flags.server_name))
    return grpc.secure_channel(flags.addr, grpc.ssl_channel_credentials(flags.tls_ca), options)


def _settled(channel: grpc.Channel) -> threading.Event:
    """Set when the first attempt to connect has come to something."""
    settled = threading.Event()

    def changed(state: grpc.ChannelConnectivity) -> None:
        if state in (grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.TRANSIENT_FAILURE):
            channel.unsubscribe(changed)
            settled.set()

    channel.subscribe(changed, try_to_connect=True)
    return settled


def parse_flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0], allow_abbrev=False)
    add = parser.add_argument
    add("--addr", default="localhost:50005", metavar="HOST:PORT", help="of the server")
    add(
        "--id",
        type=int,
        default=1,
        metavar="N",
        help="that the first call asks for; each further call asks for the next",
    )
    add("--calls", type=positive, default=1, metavar="N", help="in all")
    add(
        "--in-flight",
        type=positive,
        default=1,
        metavar="N",
        help=f"calls open at the same time, {MAX_IN_FLIGHT} at most",
    )
    add("--connections", type=positive, default=1, metavar="N", help="which the calls use in turn")
    add("--ramp", type=duration, default=0.0, metavar="DURATION", help="over which the starts of the calls are spread")
    add("--warm-up", type=natural, metavar="N", help="calls before the measured ones (default: as many as connections)")
    add("--step", type=duration, default=0.0, metavar="DURATION", help="the server's, to tell how late responses come")
    add("--print", action="store_true", help="each response as ID<TAB>RESULT")
    add("--samples", action="store_true", help="report the time of each first response and each gap")
    add(
        "--stall",
        action="store_true",
        help="read the first response of each call, then nothing until standard input ends",
    )
    add("--window", type=natural, default=0, metavar="BYTES", help="of each stream's flow control; 0 is the default")
    add("--tls-ca", type=readable_file, metavar="FILE", help="PEM of the one authority to trust; no TLS without it")
    add("--server-name", metavar="NAME", help="that the certificate is for, if not the host of --addr")
    flags = parser.parse_args()
    if flags.warm_up is None:
        flags.warm_up = flags.connections
    if (flags.calls if flags.stall else flags.in_flight) > MAX_IN_FLIGHT:
        parser.error(f"a call in flight is a thread here, and more than {MAX_IN_FLIGHT} of them are not taken on")
    if not -(2**31) <= flags.id <= 2**31 - max(flags.calls, flags.warm_up, 1):
        parser.error("--id: the ids of all calls must be 32-bit integers")
    if flags.window >= 2**31:
        parser.error("--window must be less than 2 GiB")
    if flags.server_name and flags.tls_ca is None:
        parser.error("--server-name is of no use without --tls-ca")
    try:
        if flags.tls_ca is not None:
            # What grpcio cannot read it reports with every attempt to connect, and as if the server were not there.
            ssl.create_default_context(cadata=flags.tls_ca.decode(errors="replace"))
    except ssl.SSLError as error:
        parser.error(f"--tls-ca: {error}")
    return flags


def main() -> int:
    flags = parse_flags()
    load = Load(flags)
    load.connect()
    if not flags.stall:
        load.warm_up()
    print("ready", flush=True)
    if not sys.stdin.readline():
        print("standard input ended before the line that starts the calls", file=sys.stderr)
        return EXIT_USAGE

    def hold() -> None:
        print("stalled", flush=True)
        sys.stdin.read()

    calls = load.stalled(hold) if flags.stall else load.measured()
    print(json.dumps(summarize(calls, flags.samples, round(flags.step * 1e9))), flush=True)
    sys.stdin.read()
    load.close()
    return EXIT_FAILED if any(call.status != "OK" for call in calls) else 0


if __name__ == "__main__":
    sys.exit(main())
