//! Extra rounds: the implementations of a claim take more rounds until each of its ratios is known
//! to ±5 % or the run's maximum is reached. All follows from the records, so a run that was stopped
//! goes on where it was. It runs nothing.

use crate::analysis::{Contest, Results};
use crate::claims::{self, Claim};
use crate::record::{Records, Run};
use crate::schedule::{rotate, Turn};
use crate::stats::ENOUGH_ROUNDS;
use crate::workload::Workload;

/// One more round for each contest that needs one, or the rest of a round that was stopped. Empty
/// if none does. The planned rounds must be complete.
pub fn turns(records: &Records) -> Vec<Turn> {
    let settings = &records.header.settings;
    let is_planned = |run: &&Run| run.round < run.case.rounds(settings.rounds);
    let planned = Results::new(Records {
        runs: records.runs.iter().filter(is_planned).cloned().collect(),
        ..records.clone()
    });
    let all = Results::new(records.clone());
    let mut turns = Vec::new();
    for contest in claims::contests(&planned) {
        // Its memory hardly varies.
        if contest.1.workload != Workload::Timed {
            // The planned rounds decide who takes part: one that joined later would lack rounds.
            let claims = claims::of(&planned, contest);
            turns.extend(of(records, &all, contest, claims));
        }
    }
    turns
}

fn of(records: &Records, all: &Results, contest: Contest, claims: Vec<Claim>) -> Vec<Turn> {
    let settings = &records.header.settings;
    let runs = || {
        let runs = records.runs.iter();
        runs.filter(|run| (run.role, run.case) == contest)
    };
    let has_failed =
        |name: &str| runs().any(|run| run.implementation == name && run.failure.is_some());
    let mut claims = claims;
    claims.retain(|claim| !has_failed(&claim.ours) && !has_failed(&claim.other));
    let names = claims.iter().flat_map(|claim| [&claim.ours, &claim.other]);
    let mut names: Vec<&String> = names.collect();
    names.sort();
    names.dedup();

    let is_known = |claim: &Claim| {
        let ratio = claim.ratio(all, contest);
        ratio.is_some_and(|ratio| ratio.rounds >= ENOUGH_ROUNDS && ratio.is_narrow())
    };
    for round in contest.1.rounds(settings.rounds)..settings.max_rounds {
        let is_taken =
            |name: &str| runs().any(|run| run.round == round && run.implementation == name);
        let mut left = names.clone();
        rotate(&mut left, round as usize);
        left.retain(|name| !is_taken(name));
        if left.len() == names.len() && claims.iter().all(is_known) {
            return Vec::new();
        }
        if !left.is_empty() {
            let like = |name: &String| {
                let run = runs().find(|run| run.implementation == *name)?;
                Some(Turn {
                    case: run.case,
                    role: run.role,
                    implementation: name.clone(),
                    server: run.server.clone(),
                    client: run.client.clone(),
                    round,
                })
            };
            return left.into_iter().filter_map(like).collect();
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::OURS;
    use crate::record::tests::{header, run};

    const MAX: u32 = 10;

    /// Complete rounds of three implementations; this project's CPU time varies by `noise`, a
    /// fraction, from round to round.
    fn records(rounds: u32, noise: f64) -> Records {
        let mut header = header();
        header.settings.rounds = 3;
        header.settings.max_rounds = MAX;
        let of_round = |round: u32| {
            let off = [-1.0, 0.0, 1.0][round as usize % 3];
            let ours = 1e6 * (1.0 + noise * off);
            [
                run(OURS, round, ours as u64),
                run("ccore", round, 1_000_000),
                // No claim names it.
                run("python", round, 9_000_000),
            ]
        };
        Records {
            header,
            checks: Vec::new(),
            produced: Vec::new(),
            runs: (0..rounds).flat_map(of_round).collect(),
        }
    }

    /// Takes extra rounds until there are none, and returns how many rounds there are.
    fn rounds_in_the_end(noise: f64) -> u32 {
        let mut now = records(3, noise);
        for round in 3..=MAX {
            let turns = turns(&now);
            if turns.is_empty() {
                return round;
            }
            let mut names: Vec<&str> = turns.iter().map(|turn| &*turn.implementation).collect();
            names.sort();
            assert_eq!(names, ["ccore", OURS]);
            assert!(turns.iter().all(|turn| turn.round == round), "{turns:?}");
            let taken = records(round + 1, noise).runs.into_iter();
            let taken = taken.filter(|run| run.round == round && run.implementation != "python");
            now.runs.extend(taken);
        }
        panic!("more than {MAX} rounds");
    }

    #[test]
    fn narrow_intervals_end_the_rounds() {
        assert_eq!(rounds_in_the_end(0.01), ENOUGH_ROUNDS as u32);
    }

    #[test]
    fn wide_intervals_go_on_to_the_maximum() {
        assert_eq!(rounds_in_the_end(0.3), MAX);
    }

    #[test]
    fn rounds_go_on_until_the_interval_is_narrow() {
        assert_eq!(rounds_in_the_end(0.045), ENOUGH_ROUNDS as u32 + 1);
    }

    #[test]
    fn a_round_that_was_stopped_is_completed_first() {
        let mut now = records(8, 0.01);
        assert_eq!(turns(&now), []);
        now.runs.push(run(OURS, 8, 1_000_000));
        let rest = turns(&now);
        assert_eq!(rest.len(), 1);
        assert_eq!((&*rest[0].implementation, rest[0].round), ("ccore", 8));
        assert_eq!((&*rest[0].server, &*rest[0].client), ("ccore", "go"));
    }

    #[test]
    fn rounds_start_with_different_implementations() {
        let first = |rounds| turns(&records(rounds, 0.3))[0].implementation.clone();
        assert_ne!(first(4), first(5));
    }

    #[test]
    fn one_that_fails_takes_no_more() {
        let mut now = records(4, 0.3);
        let mut failed = run("ccore", 4, 0);
        (failed.measured, failed.failure) = (None, Some("it hung".into()));
        now.runs.push(failed);
        assert_eq!(turns(&now), []);
    }

    #[test]
    fn a_run_may_have_none() {
        let mut now = records(3, 0.3);
        now.header.settings.max_rounds = 0;
        assert_eq!(turns(&now), []);
    }
}
