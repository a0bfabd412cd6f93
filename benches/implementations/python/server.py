"""The grpcio (Python) implementation of the fanstream server: the same contract and flags, on the synchronous API.

scripts/implementation_builds/python.py generates the modules stream_pb2 and stream_pb2_grpc.
"""

import argparse
import json
import logging
import signal
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import stream_pb2
import stream_pb2_grpc
from common import duration, natural, positive, stamped_logger

# A call keeps its thread of the pool until it ends, so this bounds the calls served at the same time; the others queue.
MAX_CALLS = 1000

STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}


class Streamer(stream_pb2_grpc.StreamServiceServicer):
    """Answers each request with `responses` results; result k is due k times `step` seconds after the request."""

    def __init__(self, responses: int, step: float, size: int, log: logging.Logger) -> None:
        self._responses = responses
        self._step = step
        self._size = size
        self._log = log
        # Asked once: a call that logs nothing would ask for each response.
        self._verbose = log.isEnabledFor(logging.INFO)

    def FetchResponse(
        self, request: stream_pb2.Request, context: grpc.ServicerContext
    ) -> Iterator[stream_pb2.Response]:
        if self._verbose:
            self._log.info("fetch response for id : %d", request.id)
        for k in self._paced(context) if self._step else range(self._responses):
            yield self.response(request.id, k)
            if self._verbose:
                self._log.info("finishing request number : %d", k)

    def response(self, request_id: int, k: int) -> stream_pb2.Response:
        text = f"Request #{k} For Id:{request_id}"
        response = stream_pb2.Response()  # cheaper in two steps than as Response(result=...)
        response.result = text[: self._size].ljust(self._size, ".") if self._size else text
        return response

    def _paced(self, context: grpc.ServicerContext) -> Iterator[int]:
        """The numbers of the responses, each when it is due; ends early when the call does. It waits in the call's own
        thread, which grpcio blocks for each message anyway."""
        began = time.monotonic()
        call_over = threading.Event()
        if not context.add_callback(call_over.set):
            return  # it is over already
        for k in range(self._responses):
            wait = began + k * self._step - time.monotonic()
            if wait > 0 and call_over.wait(wait):
                return
            yield k


def produce(streamer: Streamer, count: int) -> None:
    """Makes responses that nobody gets, twice. The caller takes the CPU time of the second time."""
    # Counted in the first, since each message makes a new string to tell its result.
    size = sum(len(streamer.response(1, k).result) for k in range(count))
    print("ready", flush=True)
    sys.stdin.readline()
    for k in range(count):
        streamer.response(1, k)
    print(json.dumps({"responses": count, "bytes": size}), flush=True)
    sys.stdin.read()


def parse_flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument(
        "--listen", default="localhost:50005", metavar="HOST:PORT", help="port 0 picks one and prints it"
    )
    parser.add_argument("--responses", type=natural, default=5, metavar="N", help="responses to each request")
    parser.add_argument(
        "--step",
        type=duration,
        default="1s",
        metavar="DURATION",
        help="response k comes k times this after the request",
    )
    parser.add_argument(
        "--size", type=natural, default=0, metavar="BYTES", help="of each result, cut or padded; 0: as it is"
    )
    parser.add_argument(
        "--grace", type=duration, default="30s", metavar="DURATION", help="for open calls when told to stop"
    )
    parser.add_argument("--log-level", choices=["error", "warn", "info", "debug"], default="info")
    parser.add_argument("--tls-cert", metavar="FILE", help="PEM of the certificate, and its chain, to serve TLS with")
    parser.add_argument("--tls-key", metavar="FILE", help="PEM of that certificate's key")
    parser.add_argument(
        "--produce",
        type=positive,
        metavar="N",
        help="make N responses without sending them, and exit; for the audit of scripts/compare",
    )
    flags = parser.parse_args()
    if (flags.tls_cert is None) != (flags.tls_key is None):
        parser.error("--tls-cert and --tls-key go together")
    try:
        flags.credentials = flags.tls_cert and credentials(flags.tls_cert, flags.tls_key)
    except OSError as error:  # also raised by ssl
        parser.error(f"--tls-cert {flags.tls_cert}, --tls-key {flags.tls_key}: {error}")
    return flags


def credentials(cert: str, key: str) -> grpc.ServerCredentials:
    # grpcio reads the files only when it listens, and then reports no reason for a failure.
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    return grpc.ssl_server_credentials([(Path(key).read_bytes(), Path(cert).read_bytes())])


def main() -> None:
    flags = parse_flags()
    log = stamped_logger("server", sys.stderr, flags.log_level)
    streamer = Streamer(flags.responses, flags.step, flags.size, log)
    if flags.produce:
        produce(streamer, flags.produce)
        return

    # Blocked before the first thread starts, so in all of them: the signals wait for sigwait() below. A handler would run
    # only when the main thread next does, and one that comes just as that thread goes to sleep would not wake it.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)

    # Without so_reuseport=0 a second server would silently share the port with the first.
    server = grpc.server(futures.ThreadPoolExecutor(MAX_CALLS), options=[("grpc.so_reuseport", 0)])
    stream_pb2_grpc.add_StreamServiceServicer_to_server(streamer, server)
    if flags.credentials:
        port = server.add_secure_port(flags.listen, flags.credentials)
    else:
        port = server.add_insecure_port(flags.listen)
    server.start()
    log.info("start server")
    host, _, wanted_port = flags.listen.rpartition(":")
    if wanted_port == "0":
        print(f"listening on {host}:{port}", flush=True)

    signal.sigwait(STOP_SIGNALS)
    server.stop(flags.grace).wait()


if __name__ == "__main__":
    main()
