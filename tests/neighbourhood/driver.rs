//! Runs the calls of one connection as planned, in the thread of its caller, and judges each call
//! when it ends or when its time is up.

use std::io;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};

use super::client::{Client, Seen};
use super::host::Entry;
use super::judge::Expected;
use super::producer::{Producer, SMALL};
use super::scenario::{CallPlan, Reader};

/// The longest wait for frames before the driver looks at other things.
const PAUSE: Duration = Duration::from_millis(20);

/// The producer of a call that is opened instead of a cancelled one.
const REOPENED: Producer = Producer::Quick {
    messages: 3,
    size: SMALL,
};

pub struct Driver<'a> {
    entry: &'a Entry,
    client: Client,
    /// Every call is read, so each must end within its time.
    is_read: bool,
    /// The time of a call beside that of its own producer and of its own windows.
    bound: Duration,
    calls: Vec<Running>,
    /// When a call is due next.
    due: Instant,
    violations: Vec<String>,
}

/// A call.
struct Running {
    plan: CallPlan,
    id: i32,
    stream: u32,
    expected: Expected,
    opened: Instant,
    /// A call that is read must have ended.
    deadline: Instant,
    /// A slow reader opens its window next.
    widens: Instant,
    /// Judged, and not waited for.
    is_done: bool,
}

/// Makes these calls on one connection, and reads them to their ends. Returns the violations.
pub fn read(entry: &Entry, plans: &[CallPlan], bound: Duration) -> Vec<String> {
    match Driver::start(entry, plans, bound) {
        Ok(driver) => driver.finish(),
        Err(error) => vec![format!("no connection: {error}")],
    }
}

/// The same, for calls that are not read to their ends: they stay until `is_over` is disconnected.
pub fn stay(
    entry: &Entry,
    plans: &[CallPlan],
    bound: Duration,
    is_over: &Receiver<()>,
) -> Vec<String> {
    match Driver::start(entry, plans, bound) {
        Ok(driver) => driver.finish_when(is_over),
        Err(error) => vec![format!("no connection: {error}")],
    }
}

impl<'a> Driver<'a> {
    /// Connects. The calls are opened with the first write.
    pub fn start(entry: &'a Entry, plans: &[CallPlan], bound: Duration) -> io::Result<Driver<'a>> {
        let is_read = plans.iter().all(CallPlan::is_read);
        let mut driver = Driver {
            entry,
            client: Client::connect(&entry.address, is_read)?,
            is_read,
            bound,
            calls: Vec::new(),
            due: Instant::now(),
            violations: Vec::new(),
        };
        for plan in plans {
            driver.open(*plan);
        }
        // Those that are cancelled before any message leave in the same write.
        driver.do_what_is_due();
        Ok(driver)
    }

    /// Runs until the condition holds; false if it does not within `timeout`.
    pub fn until(&mut self, timeout: Duration, holds: impl Fn(&Client) -> bool) -> bool {
        let began = Instant::now();
        while !holds(&self.client) {
            if began.elapsed() > timeout || !self.turn() {
                return false;
            }
        }
        true
    }

    /// Runs until all calls are done. Returns the violations.
    fn finish(mut self) -> Vec<String> {
        while !self.calls.iter().all(|call| call.is_done) && self.turn() {}
        self.end()
    }

    /// Runs until `is_over` is disconnected. Returns the violations.
    fn finish_when(mut self, is_over: &Receiver<()>) -> Vec<String> {
        while is_over.try_recv() != Err(TryRecvError::Disconnected) && self.turn() {}
        for call in self.calls.iter().filter(|call| !call.is_done) {
            let seen = self.client.seen(call.stream);
            self.violations.extend(call.violation(seen));
        }
        self.end()
    }

    fn end(mut self) -> Vec<String> {
        // The last calls that were cancelled. The connection may have ended.
        let _ = self.client.flush();
        if let Some(code) = self.client.goaway() {
            self.violations.push(format!("GOAWAY with code {code}"));
        }
        self.violations
    }

    /// Writes, reads and does what is due. False if the connection has ended.
    fn turn(&mut self) -> bool {
        let wait = self.due.saturating_duration_since(Instant::now());
        let flushed = self.client.flush();
        let received = flushed.and_then(|()| self.client.receive(wait));
        self.do_what_is_due();
        if let Err(error) = &received {
            self.violations
                .push(format!("the connection ends: {error}"));
        }
        received.is_ok()
    }

    fn open(&mut self, plan: CallPlan) {
        let id = self.entry.plan(plan.producer);
        let is_wide = self.is_read && !matches!(plan.reader, Reader::Slow { .. });
        let stream = self.client.open(id, is_wide);
        let expected = plan.producer.expected(id);
        let lasts = plan.producer.lasts() + plan.reader.lasts(expected.bytes());
        let now = Instant::now();
        self.calls.push(Running {
            plan,
            id,
            stream,
            expected,
            opened: now,
            deadline: now + lasts + self.bound,
            widens: now,
            is_done: false,
        });
    }

    fn do_what_is_due(&mut self) {
        let now = Instant::now();
        self.due = now + PAUSE;
        for n in 0..self.calls.len() {
            self.step(n, now);
        }
    }

    fn step(&mut self, n: usize, now: Instant) {
        let call = &mut self.calls[n];
        if call.is_done {
            return;
        }
        let seen = self.client.seen(call.stream);
        match call.plan.reader {
            _ if seen.end.is_some() => {
                call.is_done = true;
                self.violations.extend(call.violation(seen));
            }
            Reader::Cancels { after, reopens } if seen.messages.len() >= after => {
                call.is_done = true;
                self.violations.extend(call.violation(seen));
                self.client.cancel(call.stream);
                if reopens {
                    let reader = match self.is_read {
                        true => Reader::Fast,
                        false => Reader::Never,
                    };
                    self.open(CallPlan {
                        reader,
                        producer: REOPENED,
                    });
                }
            }
            _ if self.is_read && now >= call.deadline => {
                call.is_done = true;
                self.violations.push(call.late(seen, now));
            }
            Reader::Slow { step, every_ms } => {
                if now >= call.widens {
                    self.client.widen(call.stream, step);
                    call.widens = now + Duration::from_millis(every_ms);
                }
                self.due = self.due.min(call.widens);
            }
            Reader::Fast | Reader::Never | Reader::Cancels { .. } => {}
        }
    }
}

impl Running {
    fn violation(&self, seen: &Seen) -> Option<String> {
        let wrong = self.expected.violation(seen)?;
        Some(format!("call {} ({:?}): {wrong}", self.id, self.plan))
    }

    fn late(&self, seen: &Seen, now: Instant) -> String {
        let wrong = self.expected.violation(seen);
        let wrong = wrong.map(|wrong| format!("; {wrong}")).unwrap_or_default();
        format!(
            "call {} ({:?}) is not over after {:?}: it has {} of {} messages{wrong}",
            self.id,
            self.plan,
            now.duration_since(self.opened),
            seen.messages.len(),
            self.expected.texts.len()
        )
    }
}

impl Reader {
    /// The time to read so many bytes if nothing delays it.
    fn lasts(self, bytes: usize) -> Duration {
        match self {
            Reader::Slow { step, every_ms } => {
                let steps = bytes as u64 / u64::from(step) + 1;
                Duration::from_millis(steps * every_ms)
            }
            Reader::Fast | Reader::Never | Reader::Cancels { .. } => Duration::ZERO,
        }
    }
}
