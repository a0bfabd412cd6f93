//! Runs a batch: starts the server and all its clients, triggers the event, and checks that nothing
//! is left after the last call. The oracle judges single calls.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::adapter::{End, Engine};
use super::oracle::{judge, Surroundings, ABORT};
use super::probe::{lock, Common, Probe};
use super::reader::{read, Observation, TEST_TIMEOUT};
use super::scenario::*;

/// The longest time for a poll thread to answer, on a busy machine.
const ANSWER: Duration = Duration::from_secs(3);

/// The outcome of a batch.
#[derive(Debug, Default)]
pub struct Outcome {
    pub violations: Vec<String>,
    /// The number of calls by their end.
    pub ends: BTreeMap<String, usize>,
}

type Calls = Vec<(Arc<Probe>, Observation)>;

pub fn run(batch: &Batch) -> Outcome {
    let common = Arc::new(Common::default());
    let engine = Engine::start(&batch.server, &common);
    let mut violations = Vec::new();
    let (mut calls, event_at) = run_calls(&engine, batch, &common, &mut violations);
    let shut_down = matches!(batch.event, Event::Shutdown { .. });
    if !shut_down {
        Wait::new(&mut violations).until("no stream is open", || engine.open() == 0);
        let probe = Probe::new(plain(), common.clone());
        let seen = read(&engine, &batch.server, &probe);
        if is_refused(&seen) && batch.server.rate_per_peer.is_none() {
            violations.push("a call is refused though no other is open".into());
        }
        calls.push((probe, seen));
    }
    nothing_is_left(&engine, &calls, &mut violations);
    let around = Surroundings {
        server: &batch.server,
        event: &batch.event,
        event_at,
    };
    let mut ends = BTreeMap::new();
    for (number, (probe, seen)) in calls.iter().enumerate() {
        *ends.entry(name_of(seen)).or_default() += 1;
        let found = judge(&around, probe, seen);
        violations.extend(found.into_iter().map(|what| {
            let extra = if number == batch.calls.len() {
                " (afterwards)"
            } else {
                ""
            };
            format!(
                "call #{number}{extra}: {what}; {:?}, {:?}",
                seen,
                probe.failures()
            )
        }));
        probe.forget();
    }
    for_all(&engine, batch, &common, &calls, &mut violations);
    if !shut_down && violations.is_empty() {
        violations.extend(engine.shut_down(TEST_TIMEOUT, TEST_TIMEOUT).err());
    }
    if !violations.is_empty() {
        // It may hang, and so would dropping it.
        std::mem::forget(engine);
    }
    Outcome { violations, ends }
}

/// Runs all calls concurrently to their ends, and returns the time of the event.
fn run_calls(
    engine: &Engine,
    batch: &Batch,
    common: &Arc<Common>,
    violations: &mut Vec<String>,
) -> (Calls, Option<Instant>) {
    let began = Instant::now();
    let at = |ms: u64| {
        thread::sleep((began + Duration::from_millis(ms)).saturating_duration_since(Instant::now()))
    };
    let (answers, all_read) = (AtomicBool::new(true), AtomicBool::new(false));
    let found = Mutex::new(Vec::new());
    let object = |what: String| lock(&found).push(what);
    let mut event_at = None;
    // Then pings may be cut too.
    let cut = batch.server.connection_age_ms.is_some();
    let calls = thread::scope(|scope| {
        let readers: Vec<_> = batch
            .calls
            .iter()
            .map(|plan| {
                scope.spawn(move || {
                    at(plan.start_ms);
                    let probe = Probe::new(plan.clone(), common.clone());
                    let seen = read(engine, &batch.server, &probe);
                    (probe, seen)
                })
            })
            .collect();
        scope.spawn(|| {
            while !all_read.load(SeqCst) {
                if answers.load(SeqCst) {
                    let answer = engine.ping(ANSWER);
                    // The server may have begun to shut down meanwhile.
                    if let (Err(error), true) = (answer, answers.load(SeqCst) && !cut) {
                        object(format!("the poll thread does not answer: {error}"));
                        return;
                    }
                }
                let open = engine.open();
                if batch.server.most_open().is_some_and(|most| open > most) {
                    object(format!("{open} streams are open, beyond the limit"));
                }
                thread::sleep(Duration::from_millis(2));
            }
        });
        match batch.event {
            Event::Nothing => {}
            Event::AbortAll { after_ms } => {
                at(after_ms);
                event_at = Some(Instant::now());
                engine.abort_all(ABORT.0, ABORT.1);
            }
            Event::Shutdown { after_ms, grace_ms } => {
                at(after_ms);
                answers.store(false, SeqCst);
                event_at = Some(Instant::now());
                let down = engine.shut_down(Duration::from_millis(grace_ms), TEST_TIMEOUT);
                down.unwrap_or_else(&object);
            }
        }
        let calls = readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .collect();
        all_read.store(true, SeqCst);
        calls
    });
    violations.extend(found.into_inner().unwrap());
    (calls, event_at)
}

/// Checks that the calls are freed soon after their ends and that the workers are idle.
fn nothing_is_left(engine: &Engine, calls: &Calls, violations: &mut Vec<String>) {
    let mut wait = Wait::new(violations);
    wait.until("no stream is open", || engine.open() == 0);
    for (number, (probe, _)) in calls.iter().enumerate() {
        let held = [
            ("producers", &probe.held),
            ("messages", &probe.messages),
            ("received messages", &probe.received),
        ];
        for (what, gauge) in held {
            wait.until(&format!("call #{number} holds no {what}"), || {
                gauge.now() == 0
            });
        }
    }
    wait.until("no task is ready", || engine.pool().ready == 0);
    wait.until("no task is scheduled", || engine.pool().scheduled == 0);
}

/// Checks that concern all calls together.
fn for_all(
    engine: &Engine,
    batch: &Batch,
    common: &Common,
    calls: &Calls,
    violations: &mut Vec<String>,
) {
    let (arrived, ended) = engine.counts();
    let observed: u64 = calls
        .iter()
        .map(|(probe, _)| u64::from(probe.observed().0))
        .sum();
    if arrived != ended || arrived != observed {
        violations.push(format!(
            "{observed} calls arrived; counted were {arrived}, and {ended} ends"
        ));
    }
    if let Some(most) = batch.server.most_open() {
        let busy = common.busy.most();
        if busy > most {
            violations.push(format!(
                "producers of {busy} calls ran at once; {most} streams are allowed"
            ));
        }
        let refused = calls.iter().filter(|(_, seen)| is_refused(seen)).count();
        if refused > 0 && batch.calls.len() <= most && batch.server.rate_per_peer.is_none() {
            violations.push(format!(
                "{refused} of {} calls were refused; {most} are allowed",
                calls.len()
            ));
        }
    }
    if let (Some(rate), Some(first), Some(last)) = (
        batch.server.rate_per_peer,
        calls.iter().map(|(probe, _)| probe.began).min(),
        calls.iter().map(|(_, seen)| seen.ended).max(),
    ) {
        let opened = calls
            .iter()
            .filter(|(probe, _)| probe.opened.load(SeqCst) > 0)
            .count();
        let most = f64::from(rate) * (1.0 + (last - first).as_secs_f64()) + 1.0;
        if opened as f64 > most {
            violations.push(format!("{opened} calls were let in, at {rate} a second"));
        }
    }
}

fn is_refused(seen: &Observation) -> bool {
    matches!(
        seen.end,
        Some(End::Status(grpcio::RpcStatusCode::RESOURCE_EXHAUSTED, _))
    )
}

fn name_of(seen: &Observation) -> String {
    match &seen.end {
        None => "given up".into(),
        Some(End::Ok) => "OK".into(),
        Some(End::Status(code, _)) => code.to_string(),
        Some(End::TimedOut(_)) => "timed out".into(),
        Some(End::Broken(_)) => "broken".into(),
    }
}

/// A plain call that any running server answers.
fn plain() -> CallPlan {
    CallPlan {
        start_ms: 0,
        open: OpenPlan {
            blocks_ms: 0,
            outcome: OpenOutcome::Eager,
        },
        jobs: vec![JobPlan {
            delay_ms: 0,
            count: Count::Of(3),
            size: 10,
            mixed: false,
            blocks: None,
            end: JobEnd::Ends,
            drop: DropPlan::Nothing,
            polled: false,
            poison: None,
        }],
        reader: ReaderPlan {
            pace: Pace::Fast,
            deadline_ms: None,
            timeout_ms: None,
            capacity: 16,
        },
    }
}

/// Waits for several conditions, for no longer than [`TEST_TIMEOUT`] in all.
struct Wait<'a> {
    began: Instant,
    violations: &'a mut Vec<String>,
}

impl Wait<'_> {
    fn new(violations: &mut Vec<String>) -> Wait<'_> {
        Wait {
            began: Instant::now(),
            violations,
        }
    }

    fn until(&mut self, what: &str, holds: impl Fn() -> bool) {
        while !holds() {
            if self.began.elapsed() > TEST_TIMEOUT {
                let objection = format!("after {TEST_TIMEOUT:?} still not: {what}");
                self.violations.push(objection);
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}
