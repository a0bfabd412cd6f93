//! A client that reads one call as planned and records its observations. It reports reordered,
//! duplicate and altered messages at once; the oracle judges the rest.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::adapter::{End, Engine};
use super::probe::Probe;
use super::scenario::{Count, Pace, ServerPlan};

/// The deadline of every wait: a wait that reaches it hangs.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(15);

/// The length of a stall if only the reader can end the call.
const STALL: Duration = Duration::from_millis(50);

/// A client's observations of its call.
#[derive(Clone, Debug)]
pub struct Observation {
    pub ended: Instant,
    /// The number of messages read of each job, in order from the first.
    pub received: Vec<u32>,
    /// `None` if the plan gave the call up.
    pub end: Option<End>,
    /// The longest time between two responses, or before the first or the end.
    pub longest_gap: Duration,
}

pub fn read(engine: &Engine, server: &ServerPlan, probe: &Arc<Probe>) -> Observation {
    let plan = &probe.plan.reader;
    let timeout = plan.timeout_ms.map_or(TEST_TIMEOUT, Duration::from_millis);
    let mut call = engine.call(probe, timeout);
    let mut received = vec![0; probe.jobs.len()];
    let mut longest_gap = Duration::ZERO;
    let mut last = Instant::now();
    let mut count = 0;
    let end = loop {
        match plan.pace {
            Pace::Cancels { after } if count == after => break None,
            Pace::Stalls { after, reads_on } if count == after => {
                stall(server, probe);
                if !reads_on {
                    break None;
                }
            }
            Pace::Pauses { after, pause_ms } if count == after => sleep(pause_ms),
            Pace::Slow { every, pause_ms } if count % every == 0 => sleep(pause_ms),
            _ => {}
        }
        let next = call.next();
        longest_gap = longest_gap.max(last.elapsed());
        last = Instant::now();
        let message = match next {
            Ok(message) => message,
            Err(end) => break Some(end),
        };
        count += 1;
        let Some(expected) = received.get_mut(message.job) else {
            probe.object(format!("a message of a job that is not there: {message:?}"));
            continue;
        };
        if message.call != probe.id {
            probe.object(format!("a message of call {}", message.call));
        } else if message.sequence != *expected {
            probe.object(format!(
                "message {} of job {} instead of {expected}",
                message.sequence, message.job
            ));
        } else if message.padding != Some(probe.plan.jobs[message.job].size_of(*expected)) {
            probe.object(format!(
                "message {expected} of job {} is damaged",
                message.job
            ));
        }
        *expected = message.sequence + 1;
        probe.jobs[message.job].read.store(*expected, SeqCst);
    };
    let ended = Instant::now();
    if end.is_none() {
        call.cancel();
    }
    if !call.yields_nothing() || !call.yields_nothing() {
        probe.object(format!("something comes after {end:?}"));
    }
    let status = call.status();
    let agrees = match &end {
        Some(End::Ok) => status == Some(grpcio::RpcStatusCode::OK),
        Some(End::Status(code, _)) => status == Some(*code),
        _ => true,
    };
    if !agrees {
        probe.object(format!("ended with {end:?}, but its status is {status:?}"));
    }
    Observation {
        ended,
        received,
        end,
        longest_gap,
    }
}

/// Reads nothing until the server ends the call, or for `STALL` if nothing ends it there.
fn stall(server: &ServerPlan, probe: &Probe) {
    let endless = |job: &super::scenario::JobPlan| job.count == Count::Endless && job.size >= 1024;
    let must_end = server.max_age_ms.is_some()
        || server.small_windows
            && server.write_stall_ms.is_some()
            && probe.plan.jobs.iter().any(endless);
    let began = Instant::now();
    while !probe.is_over() {
        if began.elapsed() > STALL && (!must_end || probe.opened.load(SeqCst) == 0) {
            return;
        }
        if began.elapsed() > TEST_TIMEOUT {
            probe.object("a reader that stalls keeps its stream");
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn sleep(ms: u64) {
    thread::sleep(Duration::from_millis(ms));
}
