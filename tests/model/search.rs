//! Searches for a batch with a violation: runs several batches at a time, each from its own seed,
//! and shrinks the first one that fails. It knows nothing of the contents of a batch.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, Once};
use std::thread;
use std::time::{Duration, Instant};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::probe::lock;
use super::run::run;
use super::scenario::Batch;
use super::strategy::batch;

/// Concurrent batches: they mostly wait.
const LANES: usize = 8;

/// Runs of each smaller batch before it counts as passing: a failure may be rare.
const RETRIES: usize = 20;

/// No further run starts after this time.
const RETRY_LIMIT: Duration = Duration::from_millis(1500);

/// The most calls in a report.
const MAX_CALLS_REPORTED: usize = 4;

/// The most violations in a report.
const MAX_VIOLATIONS_REPORTED: usize = 8;

/// Unless `PROPTEST_MAX_SHRINK_TIME` says so.
const SHRINK_MS: u32 = 120_000;

/// The number of calls by their end.
pub type Ends = BTreeMap<String, usize>;

/// A batch with a violation.
pub struct Failure {
    pub seed: u64,
    /// The generated batch.
    pub found: String,
    /// The smallest batch that still fails.
    pub shrunk: Batch,
    pub why: String,
}

/// Runs batches from `seed` on, until `cases` calls have been made.
pub fn search(seed: u64, cases: usize) -> Result<Ends, Box<Failure>> {
    silence_planned_panics();
    let next = Mutex::new((seed, 0));
    let ends = Mutex::new(Ends::new());
    let failed = AtomicBool::new(false);
    let failure = Mutex::new(None);
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some((seed, tree, mut runner)) = take(&next, cases, &failed) {
                    let first = tree.current();
                    let outcome = run(&first);
                    for (end, n) in outcome.ends {
                        *lock(&ends).entry(end).or_default() += n;
                    }
                    if outcome.violations.is_empty() {
                        continue;
                    }
                    if failed.swap(true, SeqCst) {
                        return;
                    }
                    let found = listed(&outcome.violations);
                    let (shrunk, why) = shrink(&mut runner, tree, &found);
                    *lock(&failure) = Some(Box::new(Failure {
                        seed,
                        found,
                        shrunk: shrunk.unwrap_or(first),
                        why,
                    }));
                }
            });
        }
    });
    match failure.into_inner().unwrap() {
        Some(failure) => Err(failure),
        None => Ok(ends.into_inner().unwrap()),
    }
}

type Tree = Box<dyn ValueTree<Value = Batch>>;

/// The next batch; the sequence depends only on the first seed.
fn take(
    next: &Mutex<(u64, usize)>,
    cases: usize,
    failed: &AtomicBool,
) -> Option<(u64, Tree, TestRunner)> {
    let mut next = lock(next);
    let (seed, begun) = *next;
    if begun >= cases || failed.load(SeqCst) {
        return None;
    }
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let default = Config::default();
    let config = Config {
        failure_persistence: None,
        max_shrink_time: match default.max_shrink_time {
            0 => SHRINK_MS,
            own => own,
        },
        max_shrink_iters: 2_000,
        ..default
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let tree = batch().new_tree(&mut runner).unwrap();
    *next = (seed.wrapping_add(1), begun + tree.current().calls.len());
    Some((seed, tree, runner))
}

/// The smallest batch that still fails, and its violation; none if the failure is too rare.
fn shrink(runner: &mut TestRunner, tree: Tree, found: &str) -> (Option<Batch>, String) {
    let runs = AtomicUsize::new(0);
    let sought: Vec<_> = found.lines().map(kind).collect();
    let again = runner.run_one(tree, |batch| {
        // The unshrunk batch is known to fail.
        if runs.fetch_add(1, SeqCst) == 0 {
            return Err(TestCaseError::fail(found.to_string()));
        }
        let began = Instant::now();
        for _ in 0..RETRIES {
            if began.elapsed() > RETRY_LIMIT {
                break;
            }
            let mut violations = run(&batch).violations;
            // A different violation would mislead the search.
            violations.retain(|violation| sought.contains(&kind(violation)));
            if !violations.is_empty() {
                return Err(TestCaseError::fail(listed(&violations)));
            }
        }
        Ok(())
    });
    match again {
        Err(TestError::Fail(why, batch)) => (Some(batch), why.message().to_string()),
        _ => (None, found.to_string()),
    }
}

fn listed(violations: &[String]) -> String {
    let listed = violations
        .iter()
        .take(MAX_VIOLATIONS_REPORTED)
        .map(String::as_str);
    listed.collect::<Vec<_>>().join("\n")
}

/// The kind of a violation: its text without numbers.
fn kind(violation: &str) -> String {
    let what = violation.split(';').next().unwrap_or_default();
    what.chars().filter(|c| !c.is_ascii_digit()).collect()
}

impl Failure {
    pub fn report(&self) -> String {
        let mut text = String::new();
        let (seed, found, batch) = (self.seed, &self.found, &self.shrunk);
        let _ = writeln!(
            text,
            "seed {seed} breaks a promise of the engine:\n{found}\n"
        );
        let _ = writeln!(text, "the smallest batch found that does:");
        let _ = writeln!(text, "{:?}\n{:?}", batch.server, batch.event);
        for (number, call) in batch.calls.iter().enumerate() {
            if batch.calls.len() <= MAX_CALLS_REPORTED
                || self.why.contains(&format!("call #{number}:"))
            {
                let _ = writeln!(text, "#{number} {call:?}");
            }
        }
        let _ = writeln!(text, "{} calls in all", batch.calls.len());
        let again = "cargo test --release --test model";
        let _ = writeln!(text, "{}\n", self.why);
        let _ = write!(
            text,
            "again: FANSTREAM_MODEL_SEED={seed} FANSTREAM_MODEL_CASES=1 {again}"
        );
        text
    }
}

/// Hides planned panics from the output.
fn silence_planned_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let text = info.payload().downcast_ref::<&str>();
            if !text.is_some_and(|text| text.starts_with("planned: ")) {
                usual(info);
            }
        }));
    });
}
