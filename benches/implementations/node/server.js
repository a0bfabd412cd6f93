// The server on grpc-js: the same contract and flags as fanstream's, for interoperability. One thread serves all calls,
// so no code here may block.

import { createSecureContext } from "node:tls";

import grpc from "@grpc/grpc-js";
import { Option } from "commander";

import { duration, natural, positive, program, readableFile } from "./lib/flags.js";
import { stamped } from "./lib/log.js";
import { produce } from "./lib/produce.js";
import { StreamService } from "./lib/service.js";

const flags = parseFlags();
const verbose = ["info", "debug"].includes(flags.logLevel);

function info(text) {
  console.error(stamped(text));
}

/** Answers with `responses` results; response k is due k steps after the request. */
function fetchResponse(call) {
  const { id } = call.request;
  if (verbose) {
    info(`fetch response for id : ${id}`);
  }
  const began = performance.now();
  let timer;
  call.on("cancelled", () => clearTimeout(timer));
  let k = 0;
  const proceed = () => {
    while (k < flags.responses && !call.cancelled) {
      const wait = flags.step === 0 ? 0 : began + k * flags.step - performance.now();
      if (wait > 0) {
        timer = setTimeout(proceed, wait);
        return;
      }
      const roomForMore = call.write(response(id, k));
      if (verbose) {
        info(`finishing request number : ${k}`);
      }
      k++;
      if (!roomForMore) {
        call.once("drain", proceed);
        return;
      }
    }
    call.end();
  };
  proceed();
}

function response(id, k) {
  const text = `Request #${k} For Id:${id}`;
  return { result: flags.size === 0 ? text : text.slice(0, flags.size).padEnd(flags.size, ".") };
}

function parseFlags() {
  const command = program("The grpc-js implementation of the fanstream server.")
    .option("--listen <host:port>", "port 0 picks one and prints it", "localhost:50005")
    .option("--responses <n>", "to each request", natural, 5)
    .option("--step <duration>", "response k comes k times this after the request", duration, 1000)
    .option("--size <bytes>", "of each result, cut or padded; 0: as it is", natural, 0)
    .option("--grace <duration>", "for open calls when told to stop", duration, 30_000)
    .addOption(new Option("--log-level <level>").choices(["error", "warn", "info", "debug"]).default("info"))
    .option("--tls-cert <file>", "PEM of the certificate, and its chain, to serve TLS with", readableFile)
    .option("--tls-key <file>", "PEM of that certificate's key", readableFile)
    .option(
      "--produce <n>",
      "make N responses without sending them, and exit; for the audit of scripts/compare",
      positive,
    )
    .parse();
  const options = command.opts();
  if (!options.tlsCert !== !options.tlsKey) {
    command.error("error: --tls-cert and --tls-key go together");
  }
  try {
    options.credentials = credentials(options);
  } catch (error) {
    command.error(`error: --tls-cert, --tls-key: ${error.message}`);
  }
  return options;
}

/** Throws if certificate and key do not match: grpc-js itself would report it only to each client. */
function credentials({ tlsCert, tlsKey }) {
  if (!tlsCert) {
    return grpc.ServerCredentials.createInsecure();
  }
  createSecureContext({ cert: tlsCert, key: tlsKey });
  return grpc.ServerCredentials.createSsl(null, [{ cert_chain: tlsCert, private_key: tlsKey }]);
}

/**
 * Refuses new calls and lets open ones finish; at the end of the grace period it cancels the rest. The process exits by
 * itself as soon as nothing is open. It does not rely on the callback of tryShutdown, which is not called if a connection
 * breaks at that moment.
 */
function drain(server) {
  setTimeout(() => server.forceShutdown(), flags.grace).unref();
  server.tryShutdown(() => {});
}

function serve() {
  const server = new grpc.Server();
  server.addService(StreamService.service, { fetchResponse });
  // Installed before the address is announced: the reader may send SIGTERM at once.
  for (const signal of ["SIGTERM", "SIGINT"]) {
    process.once(signal, () => drain(server));
  }
  server.bindAsync(flags.listen, flags.credentials, (error, port) => {
    if (error) {
      console.error(stamped(`failed to listen: ${error.message}`));
      process.exit(1);
    }
    if (verbose) {
      info("start server");
    }
    if (flags.listen.endsWith(":0")) {
      console.log(`listening on ${flags.listen.slice(0, -1)}${port}`);
    }
  });
}

if (flags.produce) {
  await produce(flags.produce, (k) => response(1, k));
} else {
  serve();
}
