// The grpc-js implementation of the fanstream client: the same flags, output formats and exit codes.

import grpc from "@grpc/grpc-js";
import { InvalidArgumentError, Option } from "commander";

import { duration, int32, natural, program } from "./lib/flags.js";
import { stamped } from "./lib/log.js";
import { StreamService, statusName } from "./lib/service.js";

// Exit codes; wrong usage is 2.
const EXIT_UNREACHABLE = 3; // UNAVAILABLE before any response
const EXIT_TIMED_OUT = 4;
const EXIT_FAILED = 5; // any other status

/** Fetches one id and resolves, never rejects, with how that went. */
function fetch(client, id, { take, timeout, ...flags }) {
  return new Promise((resolve) => {
    const began = performance.now();
    const outcome = { responses: 0, bytes: 0, firstMs: null, code: grpc.status.OK, details: "" };
    const deadline = timeout > 0 ? Date.now() + timeout : Infinity;
    const call = client.fetchResponse({ id }, timeout > 0 ? { deadline } : {});
    call.on("data", ({ result }) => {
      if (take > 0 && outcome.responses === take) {
        return; // arrived after the call was cancelled
      }
      const elapsedMs = millisecondsSince(began);
      printResponse(flags, { id, sequence: outcome.responses, elapsed_ms: elapsedMs, result });
      outcome.firstMs ??= elapsedMs;
      outcome.responses++;
      outcome.bytes += Buffer.byteLength(result);
      if (outcome.responses === take) {
        call.cancel();
        resolve(outcome);
      }
    });
    call.on("error", () => {}); // the status event reports it too
    call.on("status", ({ code, details }) => {
      // A server that knows the deadline may reset the stream first, which grpc-js reports as CANCELLED.
      const late = code === grpc.status.CANCELLED && Date.now() >= deadline;
      Object.assign(outcome, { code: late ? grpc.status.DEADLINE_EXCEEDED : code, details });
    });
    call.on("end", () => resolve(outcome)); // after the status, and after the last response
  });
}

function printResponse({ format, quiet }, response) {
  if (quiet) {
    return;
  }
  if (format === "tutorial") {
    console.log(stamped(`Resp received: ${response.result}`));
  } else {
    console.log(format === "text" ? response.result : JSON.stringify(response));
  }
}

/** The sum of all calls, with the first failure in the order of the ids. */
function total(outcomes) {
  const { code, details } = outcomes.find((outcome) => outcome.code !== grpc.status.OK) ?? outcomes[0];
  const firsts = outcomes.map(({ firstMs }) => firstMs).filter((firstMs) => firstMs !== null);
  return {
    responses: outcomes.reduce((sum, { responses }) => sum + responses, 0),
    bytes: outcomes.reduce((sum, { bytes }) => sum + bytes, 0),
    firstMs: firsts.length > 0 ? Math.min(...firsts) : null,
    code,
    details,
  };
}

function printEnd({ format, quiet }, { responses, bytes, firstMs, code }, durationMs) {
  const status = statusName(code);
  if (quiet && format === "json") {
    console.log(JSON.stringify({ responses, bytes, first_ms: firstMs, duration_ms: durationMs, status }));
  } else if (quiet) {
    console.log(`${responses} responses, ${bytes} bytes in ${durationMs} ms: ${status}`);
  } else if (format === "tutorial" && code === grpc.status.OK) {
    console.log(stamped("finished"));
  }
}

/** With three decimals: nothing here is exact beyond a microsecond. */
function millisecondsSince(began) {
  return Math.round((performance.now() - began) * 1000) / 1000;
}

function exitCode({ code, responses }) {
  switch (code) {
    case grpc.status.OK:
      return 0;
    case grpc.status.UNAVAILABLE:
      return responses === 0 ? EXIT_UNREACHABLE : EXIT_FAILED;
    case grpc.status.DEADLINE_EXCEEDED:
      return EXIT_TIMED_OUT;
    default:
      return EXIT_FAILED;
  }
}

/** The ids of N, A-B or several of these with commas between them. Ids may be negative: -5--3. */
function idList(text) {
  return text.split(",").flatMap((part) => {
    const match = /^(-?\d+)(?:-(-?\d+))?$/.exec(part);
    if (!match) {
      throw new InvalidArgumentError(`${JSON.stringify(part)} is neither N nor A-B.`);
    }
    const first = int32(match[1]);
    const last = match[2] === undefined ? first : int32(match[2]);
    if (last < first) {
      throw new InvalidArgumentError(`${JSON.stringify(part)} ends before it starts.`);
    }
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}

const flags = program("The grpc-js implementation of the fanstream client.")
  .option("--addr <host:port>", "of the server", "localhost:50005")
  .option("--id <ids>", "to fetch, all at once: N, A-B, or several of these with commas between them", idList, [1])
  .option("--take <n>", "cancel each call after N responses; 0 takes all", natural, 0)
  .option("--timeout <duration>", "a whole call may take; 0 is no deadline", duration, 0)
  .addOption(new Option("--format <format>").choices(["tutorial", "text", "json"]).default("tutorial"))
  .option("--quiet", "print no responses, only a closing summary", false)
  .parse()
  .opts();
const client = new StreamService(flags.addr, grpc.credentials.createInsecure());
const began = performance.now();
const outcome = total(await Promise.all(flags.id.map((id) => fetch(client, id, flags))));
printEnd(flags, outcome, millisecondsSince(began));
if (outcome.code !== grpc.status.OK) {
  console.error(stamped(`can not receive: ${statusName(outcome.code)}: ${outcome.details}`));
}
client.close();
process.exitCode = exitCode(outcome);
