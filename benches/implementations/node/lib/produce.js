// What a server spends on making its responses: it makes them and sends none.

import { createInterface } from "node:readline";

const WARM_UP_MS = 1000; // the JIT compiler's

let last; // keeps the compiler from dropping what nobody reads

/** Makes `count` responses until they are made fast, and once more when a line of standard input says so. */
export async function produce(count, response) {
  const input = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const began = performance.now();
  do {
    make(count, response);
  } while (performance.now() - began < WARM_UP_MS);
  console.log("ready");
  await input.next();
  const bytes = make(count, response);
  console.log(JSON.stringify({ responses: count, bytes }));
  while (!(await input.next()).done);
}

function make(count, response) {
  let bytes = 0;
  for (let k = 0; k < count; k++) {
    last = response(k);
    bytes += last.result.length; // the texts are ASCII
  }
  return bytes;
}
