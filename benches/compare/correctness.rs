//! Checks that a server and a client work together: counts, contents and order of all messages,
//! statuses and exit codes, in clear text and over TLS. A pair that fails gets no figure.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use serde::{Deserialize, Serialize};

use crate::certs::Certs;
use crate::common::process::Server;
use crate::interrupt::{Interrupt, Interrupted};
use crate::load::{command, last_words, Load, Summary};
use crate::shape::Shape;

const CALLS: u32 = 16;
const IN_FLIGHT: u32 = 8;
/// The id of the first call.
const ID: u32 = 7;

const SUMMARY_TIMEOUT: Duration = Duration::from_secs(30);
/// The limit on the time between SIGTERM and the exit of a server without calls.
const EXIT_TIMEOUT: Duration = Duration::from_secs(10);

/// The check of one pair, with the problem that it found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub server: String,
    pub client: String,
    pub tls: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Many messages at full speed, and a few that are due at intervals.
fn shapes() -> [Shape; 2] {
    [
        Shape::stream(500).over(2, IN_FLIGHT),
        Shape::stream(3)
            .every(Duration::from_millis(20))
            .over(1, IN_FLIGHT),
    ]
}

/// Checks one server with several clients. A problem goes into the client's check; the result is an
/// error only if the run was interrupted.
pub fn check(
    server: (&str, &[String]),
    clients: &[(&str, &[String])],
    certs: Option<&Certs>,
    interrupt: &Interrupt,
) -> Result<Vec<Check>> {
    let mut problems: BTreeMap<&str, String> = BTreeMap::new();
    for shape in shapes() {
        let served = with_server(server.1, &shape, certs, |address| {
            for &(name, program) in clients {
                match ask(address, program, &shape, certs, interrupt) {
                    Err(error) if error.is::<Interrupted>() => return Err(error),
                    Err(error) => drop(problems.entry(name).or_insert(format!("{error:#}"))),
                    Ok(()) => {}
                }
            }
            Ok(())
        });
        match served {
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => {
                for (name, _) in clients {
                    problems
                        .entry(name)
                        .or_insert(format!("the server: {error:#}"));
                }
            }
            Ok(()) => {}
        }
    }
    let check = |&(client, _): &(&str, &[String])| Check {
        server: server.0.into(),
        client: client.into(),
        tls: certs.is_some(),
        problem: problems.remove(client),
    };
    Ok(clients.iter().map(check).collect())
}

fn with_server(
    program: &[String],
    shape: &Shape,
    certs: Option<&Certs>,
    ask: impl FnOnce(&str) -> Result<()>,
) -> Result<()> {
    let stderr = tempfile::tempfile()?;
    let mut flags = shape.server_flags();
    flags.extend(certs.map(Certs::server_flags).into_iter().flatten());
    let server = Server::start(None, &mut command(program, &flags, &stderr)?);
    let server = server.with_context(|| format!("it did not start{}", last_words(stderr)))?;
    ask(server.address())?;
    // The exit status does not matter: some servers are killed by the signal.
    server.terminate(EXIT_TIMEOUT).context("after SIGTERM")?;
    Ok(())
}

fn ask(
    address: &str,
    program: &[String],
    shape: &Shape,
    certs: Option<&Certs>,
    interrupt: &Interrupt,
) -> Result<()> {
    let mut flags = vec!["--addr".into(), address.into(), "--print".into()];
    flags.extend(["--id".into(), ID.to_string()]);
    flags.extend(certs.map(Certs::client_flags).into_iter().flatten());
    flags.extend(shape.load_flags(CALLS, shape.connections));
    let mut load = Load::start(None, program, &flags, interrupt)?;
    let mut printed = Vec::new();
    load.go()?;
    let summary: Summary = load.summary(SUMMARY_TIMEOUT, |line| printed.push(line))?;
    load.end()?;
    judge(&summary, &printed, shape)
}

/// Compares a client's output with the contract.
fn judge(summary: &Summary, printed: &[String], shape: &Shape) -> Result<()> {
    let calls = u64::from(CALLS);
    let statuses = BTreeMap::from([("OK".to_string(), calls)]);
    ensure!(
        summary.statuses == statuses,
        "statuses {:?}",
        summary.statuses
    );

    let mut streams: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for line in printed {
        let parts = line
            .split_once('\t')
            .and_then(|(id, text)| Some((id.parse().ok()?, text)));
        let (id, text) = parts.with_context(|| format!("it printed {line:?}"))?;
        streams.entry(id).or_default().push(text);
    }
    let mut bytes = 0;
    for id in ID..ID + CALLS {
        let mut got = streams.remove(&id).unwrap_or_default();
        // Responses a step apart may come from different workers, and a busy machine reorders them.
        if !shape.step.is_zero() {
            got.sort_unstable();
        }
        let expected: Vec<String> = (0..shape.responses).map(|k| text(k, id)).collect();
        let wrong = got
            .iter()
            .zip(&expected)
            .position(|(got, expected)| got != expected);
        if let Some(k) = wrong {
            anyhow::bail!("response {k} of id {id} is {:?}", got[k]);
        }
        let count = got.len();
        ensure!(
            count == expected.len(),
            "{count} responses to id {id} instead of {}",
            expected.len()
        );
        bytes += expected.iter().map(|text| text.len() as u64).sum::<u64>();
    }
    ensure!(
        streams.is_empty(),
        "responses to unknown ids: {:?}",
        streams.keys()
    );
    let messages = calls * u64::from(shape.responses);
    ensure!(
        (summary.calls, summary.messages, summary.bytes) == (calls, messages, bytes),
        "the summary says {} calls, {} messages, {} bytes, where {calls}, {messages} and {bytes} are right",
        summary.calls,
        summary.messages,
        summary.bytes
    );
    // Two batches of calls, one after the other.
    let least = shape.span().as_secs_f64() * f64::from(CALLS / IN_FLIGHT);
    ensure!(
        summary.seconds > 0.0 && summary.seconds >= 0.95 * least,
        "it took {} s, and must take {least} s",
        summary.seconds
    );
    Ok(())
}

/// The text of response `k` in the contract.
fn text(k: u32, id: u32) -> String {
    format!("Request #{k} For Id:{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right() -> (Summary, Vec<String>, Shape) {
        let shape = Shape::stream(2).over(1, IN_FLIGHT);
        // Streams interleave; each is in order.
        let printed: Vec<String> = (0..2)
            .flat_map(|k| (ID..ID + CALLS).map(move |id| format!("{id}\t{}", text(k, id))))
            .collect();
        let bytes = (0..2).flat_map(|k| (ID..ID + CALLS).map(move |id| text(k, id).len() as u64));
        let summary = Summary {
            calls: 16,
            statuses: [("OK".to_string(), 16)].into(),
            messages: 32,
            bytes: bytes.sum(),
            seconds: 0.1,
            ..Summary::default()
        };
        (summary, printed, shape)
    }

    #[test]
    fn everything_right_passes() {
        let (summary, printed, shape) = right();
        judge(&summary, &printed, &shape).expect("right");
    }

    type Spoil = fn(&mut Summary, &mut Vec<String>);

    #[test]
    fn every_kind_of_mistake_is_found() {
        let wrong: [(&str, Spoil); 8] = [
            ("another order", |_, printed| {
                printed.swap(0, CALLS as usize)
            }),
            ("another text", |_, printed| printed[3].push('!')),
            ("a message too few", |_, printed| drop(printed.pop())),
            ("one too many", |_, printed| {
                printed.push(printed[0].clone())
            }),
            ("a stranger", |_, printed| {
                printed.push("99\tRequest #0 For Id:99".into())
            }),
            ("a status", |summary, _| {
                summary.statuses = [("OK".to_string(), 15)].into()
            }),
            ("a count", |summary, _| summary.messages = 31),
            ("bytes", |summary, _| summary.bytes -= 1),
        ];
        for (what, spoil) in wrong {
            let (mut summary, mut printed, shape) = right();
            spoil(&mut summary, &mut printed);
            assert!(judge(&summary, &printed, &shape).is_err(), "{what}");
        }
    }

    #[test]
    fn responses_that_come_too_early_are_wrong() {
        let (mut summary, printed, shape) = right();
        let shape = shape.every(Duration::from_millis(20));
        summary.seconds = 0.02;
        assert!(judge(&summary, &printed, &shape).is_err());
        summary.seconds = 0.041;
        judge(&summary, &printed, &shape).expect("in time");
    }
}
