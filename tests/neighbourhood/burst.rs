//! A client that cancels hundreds of calls and opens as many in one write. All of it is within the
//! limits of the server, so it must not be refused.

use std::io;
use std::time::{Duration, Instant};

use super::client::{Client, End, Seen};
use super::host::Entry;
use super::judge::Expected;
use super::producer::{Producer, SMALL};
use super::scenario::Burst;

/// The calls that are open at a time.
const CALLS: usize = 400;

/// The producer of the last calls; the others stay until they are cancelled.
const LAST: Producer = Producer::Quick {
    messages: 1,
    size: SMALL,
};

struct Call {
    stream: u32,
    expected: Expected,
}

/// Makes the burst; each wait in it may take `bound`. Returns the violations.
pub fn run(entry: &Entry, burst: Burst, bound: Duration) -> Vec<String> {
    let mut client = match Client::connect(&entry.address, true) {
        Ok(client) => client,
        Err(error) => return vec![format!("no connection: {error}")],
    };
    let mut violations = Vec::new();
    if let Err(error) = rounds(&mut client, entry, burst, bound, &mut violations) {
        violations.push(format!("the connection ends in a burst: {error}"));
    }
    if let Some(code) = client.goaway() {
        violations.push(format!("GOAWAY with code {code}"));
    }
    // Old and new calls together: otherwise the test itself would be wrong.
    let most = client.max_streams();
    if most.is_some_and(|most| (most as usize) < 2 * CALLS) {
        violations.push(format!("the server allows only {most:?} streams"));
    }
    violations
}

fn rounds(
    client: &mut Client,
    entry: &Entry,
    burst: Burst,
    bound: Duration,
    violations: &mut Vec<String>,
) -> io::Result<()> {
    let mut calls = open(client, entry, Producer::Stays);
    client.flush()?;
    for round in 1..=burst.rounds {
        // The server has taken them then. To reset hundreds of calls before that is an attack.
        let answered = |seen: &Seen| !seen.messages.is_empty() || seen.end.is_some();
        wait(client, &calls, bound, answered)?;
        for call in &calls {
            let seen = client.seen(call.stream);
            violations.extend(fault(call, seen, None, round));
            client.cancel(call.stream);
        }
        let is_last = round == burst.rounds;
        calls = open(client, entry, if is_last { LAST } else { Producer::Stays });
        client.flush()?;
    }
    wait(client, &calls, bound, |seen| seen.end.is_some())?;
    for call in &calls {
        let end = Some(&call.expected.end);
        let seen = client.seen(call.stream);
        violations.extend(fault(call, seen, end, burst.rounds + 1));
    }
    Ok(())
}

/// What is wrong with a call that must have all its messages and this end.
fn fault(call: &Call, seen: &Seen, end: Option<&End>, round: u32) -> Option<String> {
    let wrong = call.expected.violation(seen);
    let is_complete = seen.messages.len() == call.expected.texts.len() && seen.end.as_ref() == end;
    if wrong.is_none() && is_complete {
        return None;
    }
    let (stream, wrong) = (call.stream, wrong.unwrap_or_default());
    let (messages, found) = (seen.messages.len(), &seen.end);
    Some(format!(
        "stream {stream} of round {round} has {messages} messages and ends with {found:?}; {wrong}"
    ))
}

/// Opens all calls with the next write.
fn open(client: &mut Client, entry: &Entry, producer: Producer) -> Vec<Call> {
    let opened = (0..CALLS).map(|_| {
        let id = entry.plan(producer);
        Call {
            // Its only message fits into the smallest window.
            stream: client.open(id, false),
            expected: producer.expected(id),
        }
    });
    opened.collect()
}

/// Receives until the condition holds for each of the calls, or the time is up.
fn wait(
    client: &mut Client,
    calls: &[Call],
    bound: Duration,
    holds: impl Fn(&Seen) -> bool,
) -> io::Result<()> {
    let deadline = Instant::now() + bound;
    while !calls.iter().all(|call| holds(client.seen(call.stream))) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break; // the caller finds what is missing
        }
        client.receive(left)?;
    }
    Ok(())
}
