//! Runs independent jobs on several threads and hands the results to one of them. It must not know
//! what a job does.

use std::collections::VecDeque;
use std::sync::{mpsc, Mutex, PoisonError};
use std::thread;

use anyhow::Result;

/// Runs `work` for each of `jobs` on up to `threads` threads, and `each` for every result on the
/// calling thread, in the order of completion. The first error stops the start of further jobs.
pub fn run<J: Send, R: Send>(
    jobs: Vec<J>,
    threads: usize,
    work: impl Fn(J) -> Result<R> + Sync,
    mut each: impl FnMut(R) -> Result<()>,
) -> Result<()> {
    let queue = Mutex::new(VecDeque::from(jobs));
    let locked = || queue.lock().unwrap_or_else(PoisonError::into_inner);
    let next = || locked().pop_front();
    thread::scope(|scope| {
        let (sender, results) = mpsc::channel();
        for _ in 0..threads.max(1) {
            let sender = sender.clone();
            let (next, work) = (&next, &work);
            scope.spawn(move || {
                while let Some(job) = next() {
                    if sender.send(work(job)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        results.iter().try_for_each(|result| {
            let handled = result.and_then(&mut each);
            if handled.is_err() {
                locked().clear();
            }
            handled
        })
    })
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn every_job_has_one_result() {
        let mut results = Vec::new();
        run(
            (0..100).collect(),
            3,
            |n| Ok(n * 2),
            |result| {
                results.push(result);
                Ok(())
            },
        )
        .expect("no job fails");
        results.sort_unstable();
        assert_eq!(results, (0..100).map(|n| n * 2).collect::<Vec<_>>());
    }

    #[test]
    fn an_error_stops_the_rest() {
        let mut seen = 0;
        let work = |n| match n {
            5 => bail!("job 5"),
            n => Ok(n),
        };
        let error = run((0..1_000_000).collect(), 1, work, |_: u32| {
            seen += 1;
            Ok(())
        });
        assert_eq!(error.expect_err("job 5 fails").to_string(), "job 5");
        assert_eq!(seen, 5);
    }
}
