"""The grpcio (Python) implementation of the fanstream server: the same contract and flags, on the synchronous API.

scripts/implementation_builds/python.py generates the modules stream_pb2 and stream_pb2_grpc.
"""

import argparse
import logging
import queue
import signal
import ssl
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import stream_pb2
import stream_pb2_grpc
from common import duration, natural, stamped_logger

# A call keeps its thread of the pool until it ends, so this bounds the calls served at the same time; the others queue.
MAX_CALLS = 1000

STOP_SIGNALS = {signal.SIGTERM, signal.SIGINT}


class Streamer(stream_pb2_grpc.StreamServiceServicer):
    """Answers each request with `responses` results; worker k takes k times `step` seconds over its own."""

    def __init__(self, responses: int, step: float, size: int, log: logging.Logger) -> None:
        self._responses = responses
        self._step = step
        self._size = size
        self._log = log

    def FetchResponse(
        self, request: stream_pb2.Request, context: grpc.ServicerContext
    ) -> Iterator[stream_pb2.Response]:
        self._log.info("fetch response for id : %d", request.id)
        for k in self._finished_workers(context):
            yield stream_pb2.Response(result=self._result(request.id, k))
            self._log.info("finishing request number : %d", k)

    def _finished_workers(self, context: grpc.ServicerContext) -> Iterator[int]:
        """The numbers of the workers, each when it has finished; ends early when the call does."""
        if self._step == 0:
            # No wait between the responses: a thread for each would buy nothing and cost 200,000 threads.
            return iter(range(self._responses))
        return self._fan_out(context)

    def _fan_out(self, context: grpc.ServicerContext) -> Iterator[int]:
        call_over = threading.Event()
        finished: queue.SimpleQueue[int | None] = queue.SimpleQueue()

        def work(k: int) -> None:
            if not call_over.wait(k * self._step):
                finished.put(k)

        def end() -> None:
            call_over.set()
            finished.put(None)

        if not context.add_callback(end):
            return  # it is over already
        for k in range(self._responses):
            threading.Thread(target=work, args=(k,), name=f"worker {k}", daemon=True).start()
        for _ in range(self._responses):
            worker = finished.get()
            if worker is None:
                return
            yield worker

    def _result(self, request_id: int, k: int) -> str:
        text = f"Request #{k} For Id:{request_id}"
        return text[: self._size].ljust(self._size, ".") if self._size else text


def parse_flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument(
        "--listen", default="localhost:50005", metavar="HOST:PORT", help="port 0 picks one and prints it"
    )
    parser.add_argument("--responses", type=natural, default=5, metavar="N", help="responses to each request")
    parser.add_argument(
        "--step", type=duration, default="1s", metavar="DURATION", help="worker k answers after k times this"
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
    # Blocked before the first thread starts, so in all of them: the signals wait for sigwait() below. A handler would run
    # only when the main thread next does, and one that comes just as that thread goes to sleep would not wake it.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)

    # Without so_reuseport=0 a second server would silently share the port with the first.
    server = grpc.server(futures.ThreadPoolExecutor(MAX_CALLS), options=[("grpc.so_reuseport", 0)])
    streamer = Streamer(flags.responses, flags.step, flags.size, log)
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
