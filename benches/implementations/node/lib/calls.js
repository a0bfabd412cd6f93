// Makes the calls of one run of the load client, over channels that each have their own TCP connection.

import { setTimeout as sleep } from "node:timers/promises";

import grpc from "@grpc/grpc-js";

import { StreamService, statusName } from "./service.js";
import { newRecord } from "./summary.js";

export class Calls {
  #flags;
  #clients;
  #began = 0;

  constructor(flags) {
    this.#flags = flags;
    this.#clients = Array.from({ length: flags.connections }, () => openClient(flags));
  }

  /** Waits until each channel is connected or has failed to; its calls then have that as their status. */
  async connect() {
    await Promise.all(this.#clients.map((client) => settled(client.getChannel())));
  }

  /** Makes the warm-up calls. All connections have one at the same time, even if fewer are measured at once. */
  async warmUp() {
    const { warmUp, inFlight, connections } = this.#flags;
    await each(warmUp, Math.max(inFlight, connections), (i) => ended(this.#open(i).resume()));
  }

  /** The calls that count, to their ends. */
  async measured() {
    this.#began = performance.now();
    const { calls, inFlight } = this.#flags;
    return each(calls, inFlight, async (i) => {
      await this.#turn(i);
      const record = newRecord();
      const call = this.#open(i).on("data", ({ result }) => this.#count(i, record, result));
      record.status = await ended(call);
      record.ended = performance.now();
      return record;
    });
  }

  /**
   * Opens all calls, since no stalled call makes room for another. When each has its first response or has ended, it
   * waits for `hold()` and then cancels the open calls.
   */
  async stalled(hold) {
    this.#began = performance.now();
    const { calls } = this.#flags;
    const held = await each(calls, calls, async (i) => {
      await this.#turn(i);
      const record = newRecord();
      const call = this.#open(i);
      const first = new Promise((resolve) => {
        call.once("data", ({ result }) => {
          call.pause();
          this.#count(i, record, result);
          resolve(grpc.status[grpc.status.CANCELLED]);
        });
      });
      record.status = await Promise.race([first, ended(call)]);
      record.ended = performance.now();
      return { call, record };
    });
    await hold();
    for (const { call, record } of held.filter(({ record }) => record.messages > 0)) {
      call.cancel();
      record.ended = performance.now();
    }
    return held.map(({ record }) => record);
  }

  close() {
    this.#clients.forEach((client) => client.close());
  }

  #open(i) {
    return this.#clients[i % this.#clients.length].fetchResponse({ id: this.#flags.id + i });
  }

  /** Resolves when the ramp lets call i start. */
  async #turn(i) {
    const wait = this.#began + (this.#flags.ramp * i) / this.#flags.calls - performance.now();
    if (wait > 0) {
      await sleep(wait);
    }
  }

  /** Runs for each response, so it does only the work that the flags ask for. */
  #count(i, record, result) {
    if (this.#flags.samples || this.#flags.step > 0) {
      record.arrivals.push(performance.now());
    }
    record.messages++;
    record.bytes += Buffer.byteLength(result);
    if (this.#flags.print) {
      process.stdout.write(`${this.#flags.id + i}\t${result}\n`);
    }
  }
}

function openClient({ addr, window, tlsCa, serverName }) {
  const options = {
    "grpc.max_receive_message_length": -1,
    "grpc.use_local_subchannel_pool": 1, // channels to the same address share a connection otherwise
  };
  if (window > 0) {
    options["grpc-node.flow_control_window"] = window; // of the streams and of the connection alike: there is no other
  }
  if (serverName) {
    options["grpc.ssl_target_name_override"] = serverName;
    options["grpc.default_authority"] = serverName;
  }
  const credentials = tlsCa ? grpc.credentials.createSsl(tlsCa) : grpc.credentials.createInsecure();
  return new StreamService(addr, credentials, options);
}

/** Resolves when the first attempt to connect has come to something. */
async function settled(channel) {
  const { IDLE, CONNECTING } = grpc.connectivityState;
  let state = channel.getConnectivityState(true);
  while (state === IDLE || state === CONNECTING) {
    await new Promise((resolve) => channel.watchConnectivityState(state, Infinity, resolve));
    state = channel.getConnectivityState(true);
  }
}

/** The name of the status of a call, when it has ended and its last response has been taken. */
function ended(call) {
  return new Promise((resolve) => {
    let name;
    call.on("error", () => {}); // the status tells the same
    call.on("status", ({ code }) => (name = statusName(code)));
    call.on("end", () => resolve(name)); // after the status, and after the last response
  });
}

/** Runs `call` for 0 to n-1, at most `inFlight` of them at the same time: as soon as one ends, the next starts. */
async function each(n, inFlight, call) {
  const results = new Array(n);
  let next = 0;
  const caller = async () => {
    while (next < n) {
      const i = next++;
      results[i] = await call(i);
    }
  };
  await Promise.all(Array.from({ length: Math.min(n, inFlight) }, caller));
  return results;
}
