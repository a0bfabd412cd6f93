// The command line of the three programs: how wrong usage ends, and the types of flags.

import { readFileSync } from "node:fs";

import { Command, InvalidArgumentError } from "commander";

export const EXIT_USAGE = 2;

const UNIT_MS = { h: 3_600_000, m: 60_000, s: 1000, ms: 1, us: 1e-3, µs: 1e-3, ns: 1e-6 };
const PART = /(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)/g;
const MAX_DURATION_MS = 2 ** 31 - 1; // Node's timers end at once when they are given more

/** A program that takes no arguments, only flags, and exits with 2 when it is used wrongly. */
export function program(description) {
  return new Command()
    .description(description)
    .allowExcessArguments(false)
    .showHelpAfterError("(--help tells more)")
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : EXIT_USAGE));
}

/** Milliseconds of a duration such as 250ms, 1s or 1m30s. */
export function duration(text) {
  if (text === "0") {
    return 0;
  }
  const parts = [...text.matchAll(PART)];
  if (parts.length === 0 || parts.map(([part]) => part).join("") !== text) {
    throw new InvalidArgumentError(`${JSON.stringify(text)} is no duration such as 250ms or 1s.`);
  }
  const milliseconds = parts.reduce((sum, [, number, unit]) => sum + Number(number) * UNIT_MS[unit], 0);
  if (milliseconds > MAX_DURATION_MS) {
    throw new InvalidArgumentError("more than 24 days are not taken on.");
  }
  return milliseconds;
}

/** An integer from 0 up. */
export function natural(text) {
  if (!/^\d{1,15}$/.test(text)) {
    throw new InvalidArgumentError(`${JSON.stringify(text)} is no number from 0 up.`);
  }
  return Number(text);
}

/** An integer from 1 up. */
export function positive(text) {
  const number = natural(text);
  if (number === 0) {
    throw new InvalidArgumentError("must be at least 1.");
  }
  return number;
}

/** An integer that an int32 of the proto can hold. */
export function int32(text) {
  const number = Number(text);
  if (!/^-?\d+$/.test(text) || number !== (number | 0)) {
    throw new InvalidArgumentError(`${JSON.stringify(text)} is no 32-bit integer.`);
  }
  return number;
}

/** The content of the file of that name. */
export function readableFile(name) {
  try {
    return readFileSync(name);
  } catch (error) {
    throw new InvalidArgumentError(error.message);
  }
}
