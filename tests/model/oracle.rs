//! The model: the allowed ends of a call, given the actions of its own code, its reader and the
//! server. The order of events on several threads is unknown, so the model is a set of ends, each
//! with its conditions. It runs nothing.

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use grpcio::RpcStatusCode;

use super::adapter::{End, DRAINING};
use super::probe::{Failure, Probe};
use super::reader::Observation;
use super::scenario::{Event, OpenOutcome, ServerPlan};

/// The longest pause of a thread between a failure and its detection by the engine.
const SLACK: Duration = Duration::from_secs(1);

/// The C-core reads two clocks to find its deadline. If the thread is preempted in between, the
/// deadline is too early: by at least 12 ms on a machine with a tenfold load.
const EARLY: Duration = Duration::from_millis(40);

/// The reader of a stream that is too old loses its unread messages.
const TO_READ: Duration = Duration::from_secs(5);

/// The status of an abort of all calls.
pub const ABORT: (RpcStatusCode, &str) = (RpcStatusCode::UNAUTHENTICATED, "planned: an abort");

/// The event for all calls, and its time.
pub struct Surroundings<'a> {
    pub server: &'a ServerPlan,
    pub event: &'a Event,
    pub event_at: Option<Instant>,
}

pub struct Judge<'a> {
    around: &'a Surroundings<'a>,
    probe: &'a Probe,
    seen: &'a Observation,
    violations: Vec<String>,
}

/// All violations of a call that is over.
pub fn judge(around: &Surroundings, probe: &Probe, seen: &Observation) -> Vec<String> {
    let (arrivals, ends) = probe.observed();
    // The C-core's client may retry transparently when its connection is too old. Then one probe
    // records both calls.
    if around.server.connection_age_ms.is_some() && arrivals > 1 {
        return match ends.len() == arrivals as usize {
            true => Vec::new(),
            false => vec![format!(
                "it arrived {arrivals} times and ended {} times",
                ends.len()
            )],
        };
    }
    let mut judge = Judge {
        around,
        probe,
        seen,
        violations: probe.violations(),
    };
    judge.jobs();
    judge.end();
    judge.bounds();
    judge.observer();
    judge.violations
}

impl Judge<'_> {
    fn object(&mut self, what: impl Into<String>) {
        self.violations.push(what.into());
    }

    fn made(&self, job: usize) -> u32 {
        self.probe.jobs[job].made.load(SeqCst)
    }

    /// Whether all messages of this job have arrived.
    fn is_complete(&self, job: usize) -> bool {
        self.seen.received[job] == self.made(job)
    }

    fn jobs(&mut self) {
        for job in 0..self.probe.jobs.len() {
            let (received, made) = (self.seen.received[job], self.made(job));
            if received > made {
                self.object(format!(
                    "job {job} made {made} messages, and {received} arrived"
                ));
            }
            // The end may come between the engine's last check and the call of a producer: one such
            // call is allowed.
            let late = self.probe.jobs[job].late.load(SeqCst);
            if late > 1 {
                self.object(format!(
                    "job {job} is called {late} times after the call was over"
                ));
            }
        }
    }

    fn end(&mut self) {
        match self.seen.end.clone() {
            None => {}
            Some(End::Ok) => self.ok(),
            Some(End::TimedOut(after)) => self.timed_out(after),
            Some(End::Broken(how)) => self.object(format!("the call broke: {how}")),
            Some(End::Status(code, message)) => {
                if let Err(why) = self.failed(code, &message) {
                    self.object(format!("ended with {code} ({message}): {why}"));
                }
            }
        }
    }

    /// Conditions of OK: every producer has ended, nothing has failed, and all messages have
    /// arrived.
    fn ok(&mut self) {
        let plan = &self.probe.plan;
        if matches!(
            plan.open.outcome,
            OpenOutcome::Fails(_) | OpenOutcome::Panics
        ) {
            self.object("OK, but its opening failed");
        }
        if !self.probe.feed_ended.load(SeqCst) {
            self.object("OK, but its feed has not ended");
        }
        if let Some(failure) = self.counting_failures().first() {
            let job = failure.job;
            self.object(format!("OK, but it failed (job {job:?})"));
        }
        for job in 0..plan.jobs.len() {
            if !self.probe.jobs[job].ended.load(SeqCst) {
                self.object(format!("OK, but job {job} has not ended"));
            }
            if !self.is_complete(job) {
                let (received, made) = (self.seen.received[job], self.made(job));
                self.object(format!(
                    "OK, but {received} of {made} messages of job {job} arrived"
                ));
            }
        }
    }

    /// Failures that exclude an end with OK.
    fn counting_failures(&self) -> Vec<Failure> {
        let mut failures = self.probe.failures();
        failures.retain(|failure| {
            let ended = |job: usize| self.probe.jobs[job].ended.load(SeqCst);
            // A status of OK in `Err` may count as the end of its producer.
            !failure.job.is_some_and(ended)
        });
        failures
    }

    fn timed_out(&mut self, after: Duration) {
        let planned = self.probe.plan.reader.timeout_ms.map(Duration::from_millis);
        if planned != Some(after) {
            self.object(format!("no end within {after:?}"));
        } else if self.seen.longest_gap < after {
            let gap = self.seen.longest_gap;
            self.object(format!("timed out, but never waited longer than {gap:?}"));
        }
    }

    /// Whether the call may end with this status, and whether all earlier messages must have
    /// arrived.
    fn failed(&self, code: RpcStatusCode, message: &str) -> Result<(), String> {
        let took = self.seen.ended - self.probe.began;
        let opened = self.probe.opened.load(SeqCst) > 0;
        let server = self.around.server;
        let reader = &self.probe.plan.reader;
        match code {
            RpcStatusCode::DEADLINE_EXCEEDED => match reader.deadline_ms {
                Some(ms) if took + EARLY >= Duration::from_millis(ms) => Ok(()),
                Some(_) => Err(format!("after {took:?}, too early")),
                None => Err("it has no deadline".into()),
            },
            RpcStatusCode::RESOURCE_EXHAUSTED => match (server.limits_calls(), opened) {
                (true, false) => Ok(()),
                (true, true) => Err("it was opened before it was refused".into()),
                (false, _) => Err("there is no limit".into()),
            },
            RpcStatusCode::INTERNAL => self.internal(),
            RpcStatusCode::UNKNOWN => self.internal(),
            _ if (code, message) == ABORT => match self.around.event {
                Event::AbortAll { .. } => Ok(()),
                _ => Err("no abort happened".into()),
            },
            RpcStatusCode::UNAVAILABLE | RpcStatusCode::CANCELLED => {
                self.ended_by_the_server(code, message, took, opened)
            }
            _ => self.natural(code, message),
        }
    }

    /// The status of the call's own opening, or of its first producer that failed.
    fn natural(&self, code: RpcStatusCode, message: &str) -> Result<(), String> {
        let failures = self.probe.failures();
        let is_it = |f: &&Failure| {
            f.status
                .as_ref()
                .is_some_and(|s| s.0 == code && s.1 == message)
        };
        let Some(failure) = failures.iter().find(is_it) else {
            return Err("nothing failed like that".into());
        };
        self.is_first(failure, &failures)?;
        match failure.job {
            Some(job) if !self.is_complete(job) && !self.may_be_aborted() => {
                let (received, made) = (self.seen.received[job], self.made(job));
                Err(format!(
                    "only {received} of {made} messages of job {job} came before it"
                ))
            }
            _ => Ok(()),
        }
    }

    /// An abort of a call that has failed already discards its queued messages.
    fn may_be_aborted(&self) -> bool {
        let server = self.around.server;
        let too_old = server.max_age_ms.is_some() && self.seen.ended - self.probe.began > TO_READ;
        self.around.event_at.is_some() || server.write_stall_ms.is_some() || too_old
    }

    fn is_first(&self, failure: &Failure, failures: &[Failure]) -> Result<(), String> {
        let Some(first) = failures.iter().map(|f| f.at).min() else {
            return Ok(());
        };
        // One thread runs the producers in sequence.
        let slack = if self.around.server.workers == 1 {
            Duration::ZERO
        } else {
            SLACK
        };
        let after = failure.at.saturating_duration_since(first);
        if after > slack {
            return Err(format!("another failure came {after:?} earlier"));
        }
        Ok(())
    }

    /// A panic, or a message that can't be sent.
    fn internal(&self) -> Result<(), String> {
        let failures = self.probe.failures();
        let internal: Vec<_> = failures.iter().filter(|f| f.status.is_none()).collect();
        if self.probe.drop_panicked.load(SeqCst) {
            return Ok(());
        }
        let Some(first) = internal.first() else {
            return Err("nothing panicked".into());
        };
        // It replaces an earlier failure, since messages made before that can no longer arrive.
        let jobs = &self.probe.plan.jobs;
        let is_unsent = |f: &&Failure| f.job.is_some_and(|job| jobs[job].poison.is_some());
        if !internal.iter().any(is_unsent) {
            self.is_first(first, &failures)?;
        }
        // With several, the client can't tell which one failed.
        if let [Failure { job: Some(job), .. }] = internal[..] {
            let poison = self.probe.plan.jobs[*job].poison;
            let end = poison.map_or(u32::MAX, |(at, _)| at);
            let (received, made) = (self.seen.received[*job], self.made(*job).min(end));
            if received < made && !self.may_be_aborted() {
                return Err(format!(
                    "only {received} of {made} messages of job {job} came before it"
                ));
            }
        }
        Ok(())
    }

    fn ended_by_the_server(
        &self,
        code: RpcStatusCode,
        message: &str,
        took: Duration,
        opened: bool,
    ) -> Result<(), String> {
        let server = self.around.server;
        if let (Event::Shutdown { .. }, Some(_)) = (self.around.event, self.around.event_at) {
            return if message == DRAINING && opened {
                Err("it was open when the server began to drain".into())
            } else {
                Ok(())
            };
        }
        if server.connection_age_ms.is_some() {
            return Ok(());
        }
        let mut why = "the server has no reason to end it".to_string();
        if let Some(stall) = server.write_stall() {
            // An active reader too: the server sees no progress while the client's side buffers.
            if took >= stall {
                return Ok(());
            }
            why = format!("after {took:?}, and a stall takes {stall:?}");
        }
        if let (Some(ms), RpcStatusCode::UNAVAILABLE) = (server.max_age_ms, code) {
            let least = Duration::from_millis(ms).mul_f64(0.9);
            if took >= least {
                return Ok(());
            }
            why = format!("it was {took:?} old, and {least:?} are allowed");
        }
        Err(why)
    }

    /// Bounds of the resources of a call.
    fn bounds(&mut self) {
        let (server, probe) = (self.around.server, self.probe);
        let jobs = probe.plan.jobs.iter();
        if jobs.clone().any(|job| job.poison.is_some()) {
            return;
        }
        // Each worker may hold a message, and the writer two: the next one and the one after it.
        let in_hand = server.workers.min(probe.jobs.len()) + 2;
        let most = server.messages + in_hand;
        let held = probe.messages.most();
        if held > most {
            self.object(format!("{held} messages were held, and {most} are allowed"));
        }
        // The last message may exceed the channel's limit.
        let largest = jobs.map(|job| job.size).max().unwrap_or(0) + 20;
        let most = server.bytes.max(server.messages) + (in_hand + 1) * largest;
        let held = probe.bytes.most();
        if held > most {
            self.object(format!("{held} bytes were held, and {most} are allowed"));
        }
        // Beyond the channel: one without room, and the one that the reader holds.
        let most = probe.plan.reader.capacity + 2;
        let held = probe.received.most();
        if held > most {
            self.object(format!(
                "the client held {held} messages, and {most} are allowed"
            ));
        }
    }

    /// A limit of the server may cut a stream or its connection off.
    fn may_be_cut(&self) -> bool {
        let server = self.around.server;
        server.max_age_ms.is_some()
            || server.write_stall_ms.is_some()
            || server.connection_age_ms.is_some()
    }

    /// The server's view agrees with the client's.
    fn observer(&mut self) {
        let (arrivals, ends) = self.probe.observed();
        if arrivals > 1 || ends.len() != arrivals as usize {
            let ends = ends.len();
            self.object(format!(
                "it arrived {arrivals} times and ended {ends} times"
            ));
        }
        let Some(end) = ends.first() else { return };
        let received: u64 = self.seen.received.iter().map(|n| u64::from(*n)).sum();
        if end.messages < received {
            let sent = end.messages;
            self.object(format!(
                "{received} messages arrived, and the server counts {sent}"
            ));
        }
        if end.refused && self.probe.opened.load(SeqCst) > 0 {
            self.object("it was refused and opened");
        }
        let (code, local) = match &self.seen.end {
            // A status in transit may still arrive although the stream is cut.
            Some(End::Ok) => (
                RpcStatusCode::OK,
                end.code == RpcStatusCode::CANCELLED && self.may_be_cut(),
            ),
            // Both may come from the client's own side, or from a connection that was cut.
            Some(End::Status(RpcStatusCode::DEADLINE_EXCEEDED | RpcStatusCode::CANCELLED, _)) => {
                return
            }
            Some(End::Status(code, _)) => {
                let cut = self.around.server.connection_age_ms.is_some();
                let down = matches!(self.around.event, Event::Shutdown { .. });
                (*code, down || cut && *code == RpcStatusCode::UNAVAILABLE)
            }
            _ => return,
        };
        if end.code != code && !local {
            let counted = end.code;
            self.object(format!(
                "its client saw {code}, and the server counts {counted}"
            ));
        }
        if code == RpcStatusCode::OK && end.messages != received {
            let sent = end.messages;
            self.object(format!(
                "OK with {received} messages, and the server counts {sent}"
            ));
        }
    }
}
