// The load client's summary: takes records of single calls, and makes the JSON object of benches/README.md.

/** The record of one call; times are milliseconds of one clock. `arrivals` are kept only if a flag asks for them. */
export function newRecord() {
  return { began: performance.now(), ended: 0, status: "OK", messages: 0, bytes: 0, arrivals: [] };
}

export function summarize(calls, { samples, step }) {
  const summary = {
    calls: calls.length,
    statuses: {},
    messages: sum(calls, "messages"),
    bytes: sum(calls, "bytes"),
    seconds: (latest(calls, "ended") - calls.reduce((least, { began }) => Math.min(least, began), Infinity)) / 1000,
  };
  for (const { status } of calls) {
    summary.statuses[status] = (summary.statuses[status] ?? 0) + 1;
  }
  if (samples) {
    const answered = calls.filter(({ arrivals }) => arrivals.length > 0);
    summary.first_us = answered.map(({ began, arrivals }) => microseconds(arrivals[0] - began));
    summary.gap_us = calls.flatMap(({ arrivals }) => arrivals.slice(1).map((at, j) => microseconds(at - arrivals[j])));
  }
  if (step > 0) {
    summary.late_us = lateness(calls, step);
  }
  return summary;
}

/**
 * What was due before the last call had started is left out: the client was still busy opening calls, and would be
 * measured instead of the server.
 */
function lateness(calls, step) {
  const lastBegan = latest(calls, "began");
  return calls.flatMap(({ began, arrivals }) =>
    arrivals
      .map((arrival, j) => ({ arrival, due: began + j * step }))
      .filter(({ due }) => due > lastBegan)
      .map(({ arrival, due }) => microseconds(arrival - due)),
  );
}

function sum(calls, field) {
  return calls.reduce((total, call) => total + call[field], 0);
}

function latest(calls, field) {
  return calls.reduce((most, call) => Math.max(most, call[field]), -Infinity);
}

function microseconds(milliseconds) {
  return Math.round(milliseconds * 1000);
}
