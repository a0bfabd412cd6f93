//! One turn of an implementation: finds the number of calls that lasts long enough, then measures a
//! repetition. A failure is a result of the turn, not an error.

use anyhow::{ensure, Result};

use crate::certs::Certs;
use crate::implementations::Implementations;
use crate::interrupt::{Interrupt, Interrupted};
use crate::pair::{Measured, Pair};
use crate::record::{Records, Run};
use crate::schedule::Turn;
use crate::settings::Effort;
use crate::shape::Shape;
use crate::workload::{Case, Workload};

/// Limits on rounds: a repetition that exceeds its target length by the factor, even with the
/// fewest calls, is measured in that many rounds only.
const FEWER_ROUNDS: [(f64, u32); 2] = [(8.0, 1), (3.0, 2)];

/// The maximum number of calibration runs.
const ATTEMPTS: u32 = 4;

/// The context of all turns.
pub struct Bench<'a> {
    pub implementations: &'a Implementations,
    pub certs: &'a Certs,
    pub effort: Effort,
    pub rounds: u32,
    pub interrupt: &'a Interrupt,
}

impl Bench<'_> {
    /// Takes a turn; `None` if its pair failed before or it already has enough rounds.
    pub fn take(&self, turn: &Turn, records: &Records) -> Result<Option<Run>> {
        let check = records.check(&turn.server, &turn.client, turn.case.tls);
        if check.is_some_and(|check| check.problem.is_some()) {
            return Ok(None);
        }
        let same = |run: &&Run| {
            (run.case, run.role) == (turn.case, turn.role)
                && run.implementation == turn.implementation
        };
        let before: Vec<&Run> = records.runs.iter().filter(same).collect();
        if before.iter().any(|run| run.failure.is_some()) || self.enough(turn, &before) {
            return Ok(None);
        }
        let shape = turn.case.shape(self.effort);
        let pair = Pair {
            server: self.implementations.server(&turn.server)?,
            load: self.implementations.load(&turn.client)?,
            shape,
            stalled: turn.case.stalled(),
            certs: turn.case.tls.then_some(self.certs),
        };
        let taken = match before.first() {
            Some(run) => {
                let measured = pair.measure(run.calls, run.warm_up, self.interrupt);
                measured.map(|measured| (run.calls, run.warm_up, measured))
            }
            None => {
                // A smoke has no figures.
                let jit = self.effort.repetition().map_or(0.0, |_| {
                    let implementations = self.implementations;
                    implementations.warm_up_seconds(&turn.server, &turn.client)
                });
                self.calibrate(&pair, &turn.case, jit)
            }
        };
        let taken = taken.and_then(|(calls, warm_up, measured)| {
            // A smoke has no figures.
            if self.effort != Effort::Smoke {
                all_open(&shape, measured.seconds)?;
            }
            Ok((calls, warm_up, measured))
        });
        let (calls, warm_up, measured, failure) = match taken {
            Ok((calls, warm_up, measured)) => (calls, warm_up, Some(measured), None),
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => (0, 0, None, Some(format!("{error:#}"))),
        };
        Ok(Some(Run {
            case: turn.case,
            role: turn.role,
            implementation: turn.implementation.clone(),
            server: turn.server.clone(),
            client: turn.client.clone(),
            round: turn.round,
            calls,
            warm_up,
            shape: shape.describe(),
            measured,
            failure,
        }))
    }

    /// Whether a slow implementation already has all its rounds. Extra rounds have no such limit.
    fn enough(&self, turn: &Turn, before: &[&Run]) -> bool {
        let Some(target) = turn.case.repetition(self.effort) else {
            return false;
        };
        let measured = before.first().and_then(|run| run.measured.as_ref());
        let times = measured.map_or(0.0, |measured| measured.seconds / target);
        // With a fixed number of calls, the length says nothing about the implementation.
        let fixed = before.first().is_some_and(|run| run.case.calls().is_some());
        let limits = FEWER_ROUNDS.iter().find(|(limit, _)| times > *limit);
        let planned = turn.round < turn.case.rounds(self.rounds);
        planned && !fixed && limits.is_some_and(|&(_, rounds)| turn.round >= rounds)
    }

    /// Finds the number of calls that lasts long enough, after a warm-up of `jit` seconds if one of
    /// the programs has a JIT compiler; the last attempt is the first repetition.
    fn calibrate(&self, pair: &Pair<'_>, case: &Case, jit: f64) -> Result<(u32, u32, Measured)> {
        let mut calls = case.calls().unwrap_or(pair.shape.in_flight);
        let mut warm_up = warm_up(case, &pair.shape, calls, jit);
        let mut attempt = 1;
        loop {
            let measured = pair.measure(calls, warm_up, self.interrupt)?;
            let target = case
                .repetition(self.effort)
                .filter(|_| case.calls().is_none());
            let Some(target) = target.filter(|_| attempt < ATTEMPTS) else {
                return Ok((calls, warm_up, measured));
            };
            let call = measured.seconds / f64::from(calls);
            let warm = f64::from(warm_up) * call >= 0.75 * jit;
            if warm && measured.seconds >= 0.75 * target {
                return Ok((calls, warm_up, measured));
            }
            calls = stretched(calls, measured.seconds, target, pair.shape.in_flight);
            let settled = (jit / call.max(1e-6)).ceil() as u32;
            warm_up = self::warm_up(case, &pair.shape, calls, jit).max(settled);
            attempt += 1;
        }
    }
}

/// Fails if starting the calls, where their shape spreads it, took so long that the first ended
/// before the last began: fewer streams were open than the figure says.
fn all_open(shape: &Shape, seconds: f64) -> Result<()> {
    let limit = 2.0 * shape.span().as_secs_f64();
    ensure!(
        shape.ramp.is_zero() || shape.in_flight == 1 || seconds < limit,
        "it took {seconds:.1} s, so that not all streams were open at once"
    );
    Ok(())
}

/// The number of warm-up calls: enough for buffers and windows to settle. For `timed` they last
/// `jit` seconds.
fn warm_up(case: &Case, shape: &Shape, calls: u32, jit: f64) -> u32 {
    match case.workload {
        // Its calls are long, and only the time after the last start counts.
        Workload::Timed => calls * (jit / shape.span().as_secs_f64()).ceil() as u32,
        _ => shape.connections.max(calls / 5),
    }
}

/// The number of calls, in whole batches, that lasts `target` seconds if `calls` took `seconds`. A
/// short run is extrapolated by at most a factor of fifty.
fn stretched(calls: u32, seconds: f64, target: f64, in_flight: u32) -> u32 {
    let factor = (1.1 * target / seconds.max(1e-6)).clamp(1.0, 50.0);
    let wanted = (f64::from(calls) * factor).ceil() as u32;
    wanted.next_multiple_of(in_flight)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_short_run_is_stretched_to_whole_batches() {
        assert_eq!(stretched(64, 0.11, 1.2, 64), 768);
        assert_eq!(stretched(1, 0.5, 1.0, 1), 3);
        assert_eq!(stretched(4, 1e-9, 1.0, 4), 200, "no more than fifty times");
        assert_eq!(stretched(8, 9.0, 1.0, 8), 8, "never fewer");
    }

    #[test]
    fn streams_that_start_too_slowly_are_no_figure() {
        let spread = Shape {
            ramp: Duration::from_secs(1),
            ..Shape::stream(5).every(Duration::from_secs(1)).over(1, 64)
        };
        assert!(all_open(&spread, 5.1).is_ok());
        assert!(
            all_open(&spread, 8.1).is_err(),
            "it may take 4 s to start them"
        );
        assert!(all_open(&Shape::stream(5), 100.0).is_ok(), "no ramp");
    }

    #[test]
    fn the_warm_up_reaches_every_connection() {
        let case = |workload| Case {
            workload,
            tls: false,
            point: Some(100),
        };
        let shape = Shape::stream(5).every(Duration::from_secs(1)).over(64, 256);
        let warm_up = |workload, calls, jit| warm_up(&case(workload), &shape, calls, jit);
        assert_eq!(warm_up(Workload::Arena, 256, 0.0), 64);
        assert_eq!(warm_up(Workload::Short, 5_000, 8.0), 1_000);
        assert_eq!(warm_up(Workload::Timed, 5_000, 0.0), 0);
        assert_eq!(warm_up(Workload::Timed, 5_000, 8.0), 10_000);
    }
}
