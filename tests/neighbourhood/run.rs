//! Runs a scenario: all its clients at the same time, and pings beside them.

use std::thread;
use std::time::Duration;

use crossbeam_channel::{bounded, Receiver, RecvTimeoutError};

use super::driver::{read, stay};
use super::host::{Entry, Host};
use super::producer::{Producer, SMALL};
use super::scenario::{CallPlan, Neighbour, Reader, Scenario};
use super::{burst, BOUND};

/// The time between two pings.
const PING_PAUSE: Duration = Duration::from_millis(20);

/// Returns the violations.
pub fn run(host: &Host, scenario: &Scenario) -> Vec<String> {
    let mut violations = run_clients(&host.entry, scenario);
    violations.extend(host.wait_until_empty(BOUND).err());
    violations
}

/// A call of one message on a fresh connection, to be answered within `bound`. Returns the
/// violations.
pub fn ping(entry: &Entry, bound: Duration) -> Vec<String> {
    let plan = CallPlan {
        reader: Reader::Fast,
        producer: Producer::Quick {
            messages: 1,
            size: SMALL,
        },
    };
    read(entry, &[plan], bound)
}

/// Silent clients and pings last as long as the others.
fn run_clients(entry: &Entry, scenario: &Scenario) -> Vec<String> {
    let (over, is_over) = bounded(0);
    let is_over = &is_over;
    let clients = scenario.neighbours.iter().enumerate();
    let (silent, others): (Vec<_>, Vec<_>) = clients.partition(|(_, client)| client.is_silent());
    thread::scope(|scope| {
        let silent: Vec<_> = silent
            .into_iter()
            .map(|(number, client)| scope.spawn(move || run_client(entry, number, client, is_over)))
            .collect();
        let others: Vec<_> = others
            .into_iter()
            .map(|(number, client)| scope.spawn(move || run_client(entry, number, client, is_over)))
            .collect();
        let pings = scope.spawn(move || pings(entry, is_over));
        let mut violations = Vec::new();
        for client in others {
            violations.extend(client.join().unwrap());
        }
        drop(over);
        for client in silent {
            violations.extend(client.join().unwrap());
        }
        violations.extend(pings.join().unwrap());
        violations
    })
}

fn run_client(
    entry: &Entry,
    number: usize,
    client: &Neighbour,
    is_over: &Receiver<()>,
) -> Vec<String> {
    let violations = match client {
        Neighbour::Calls(plans) if client.is_silent() => stay(entry, plans, BOUND, is_over),
        Neighbour::Calls(plans) => read(entry, plans, BOUND),
        Neighbour::Burst(burst) => burst::run(entry, *burst, BOUND),
    };
    let named = violations
        .into_iter()
        .map(|violation| format!("client {number}: {violation}"));
    named.collect()
}

fn pings(entry: &Entry, is_over: &Receiver<()>) -> Vec<String> {
    loop {
        let violations = ping(entry, BOUND);
        let next = is_over.recv_timeout(PING_PAUSE);
        if !violations.is_empty() || next == Err(RecvTimeoutError::Disconnected) {
            let named = violations
                .into_iter()
                .map(|violation| format!("a ping: {violation}"));
            return named.collect();
        }
    }
}
