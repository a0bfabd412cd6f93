// The grpc-js load client. Its flags and output are the protocol of benches/README.md; it
// measures nothing but its own calls.

import { X509Certificate } from "node:crypto";
import { createInterface } from "node:readline";

import { Calls } from "./lib/calls.js";
import { duration, EXIT_USAGE, int32, natural, positive, program, readableFile } from "./lib/flags.js";
import { summarize } from "./lib/summary.js";

const EXIT_FAILED = 1; // a call ended with another status than OK

const MAX_INT32 = 2 ** 31 - 1;

function parseFlags() {
  const command = program("The grpc-js load client.")
    .option("--addr <host:port>", "of the server", "localhost:50005")
    .option("--id <n>", "that the first call asks for; each further call asks for the next", int32, 1)
    .option("--calls <n>", "in all", positive, 1)
    .option("--in-flight <n>", "calls open at the same time", positive, 1)
    .option("--connections <n>", "which the calls use in turn", positive, 1)
    .option("--ramp <duration>", "over which the starts of the calls are spread", duration, 0)
    .option("--warm-up <n>", "calls before the measured ones (default: as many as connections)", natural)
    .option("--step <duration>", "the server's, to tell how late responses come", duration, 0)
    .option("--print", "each response as ID<TAB>RESULT", false)
    .option("--samples", "report the time of each first response and each gap", false)
    .option("--stall", "read the first response of each call, then nothing until standard input ends", false)
    .option("--window <bytes>", "of flow control; 0 is the default", natural, 0)
    .option("--tls-ca <file>", "PEM of the one authority to trust; no TLS without it", readableFile)
    .option("--server-name <name>", "that the certificate is for, if not the host of --addr")
    .parse();
  const flags = command.opts();
  flags.warmUp ??= flags.connections;
  if (flags.id + Math.max(flags.calls, flags.warmUp) - 1 > MAX_INT32) {
    command.error("error: --id: the ids of all calls must be 32-bit integers");
  }
  if (flags.window > MAX_INT32) {
    command.error("error: --window must be less than 2 GiB");
  }
  if (flags.serverName && !flags.tlsCa) {
    command.error("error: --server-name is of no use without --tls-ca");
  }
  try {
    flags.tlsCa && new X509Certificate(flags.tlsCa);
  } catch (error) {
    command.error(`error: --tls-ca: ${error.message}`);
  }
  return flags;
}

const flags = parseFlags();
const controller = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const controllerEnds = async () => {
  while (!(await controller.next()).done);
};

const calls = new Calls(flags);
await calls.connect();
if (!flags.stall) {
  await calls.warmUp();
}
console.log("ready");
if ((await controller.next()).done) {
  console.error("standard input ended before the line that starts the calls");
  process.exit(EXIT_USAGE);
}
const hold = () => {
  console.log("stalled");
  return controllerEnds();
};
const records = await (flags.stall ? calls.stalled(hold) : calls.measured());
console.log(JSON.stringify(summarize(records, flags)));
await controllerEnds();
calls.close();
process.exitCode = records.some(({ status }) => status !== "OK") ? EXIT_FAILED : 0;
