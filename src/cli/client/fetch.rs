//! Fetches every id of a plan, and prints the responses as they come. It must not parse flags, nor
//! know how a response looks when it is printed.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::failure::{output_failed, Failure};
use super::output::Output;
use super::plan::Plan;
use super::record::{Line, Summary, Totals};
use super::terminal::Terminal;
use crate::cli::common::Exit;
use crate::client::{Client, ClientBuilder, ResponseStream, ResumingStream};
use crate::proto::stream::Response;
use crate::tutorial;

/// Connects and fetches. Blocks until every id is fetched or standard output is closed.
pub(super) fn run(plan: Plan, terminal: &Arc<Terminal>) -> Exit {
    let began = Instant::now();
    let written = Output::stdout(plan.format, plan.quiet).and_then(|output| {
        let output = Arc::new(output);
        let (totals, failure) = match ClientBuilder::from(plan.config.clone()).connect() {
            Ok(client) => fetch_all(client, plan, &output, terminal)?,
            Err(error) => {
                let failure = Failure::of_connecting(&error);
                failure.print(terminal, None);
                (Totals::default(), Some(failure))
            }
        };
        let (status, exit) = match failure {
            Some(failure) => (failure.status, failure.exit),
            None => ("OK".into(), Exit::Complete),
        };
        // The last line of standard output may go to the same terminal.
        terminal.clear();
        output.finish(&Summary {
            totals,
            duration: began.elapsed(),
            status,
        })?;
        Ok(exit)
    });
    terminal.clear();
    match written {
        Ok(exit) => exit,
        Err(error) => output_failed(terminal, &error),
    }
}

/// The result of one call or of all: its responses, and its failure if it failed.
type Outcome = (Totals, Option<Failure>);

/// Fetches all ids; the failure is the first one in their order.
fn fetch_all(
    client: Client,
    plan: Plan,
    output: &Arc<Output>,
    terminal: &Arc<Terminal>,
) -> io::Result<Outcome> {
    let threads = plan.concurrency.min(plan.ids.len());
    let work = Arc::new(Work {
        client,
        plan,
        output: output.clone(),
        terminal: terminal.clone(),
        next: AtomicUsize::new(0),
    });
    if threads <= 1 {
        return collect(std::iter::from_fn(|| work.fetch_next()));
    }
    // Scoped threads would be joined: after a closed output that would wait for open calls.
    let (sender, outcomes) = crossbeam_channel::unbounded();
    for number in 0..threads {
        let (work, sender) = (work.clone(), sender.clone());
        let thread = thread::Builder::new().name(format!("client-fetch-{number}"));
        let spawned = thread.spawn(move || {
            while let Some(outcome) = work.fetch_next() {
                let _ = sender.send(outcome); // after a closed output nothing receives it
            }
        });
        match spawned {
            // Fewer threads fetch the same ids.
            Err(_) if number > 0 => break,
            other => drop(other?),
        }
    }
    drop(sender);
    collect(outcomes.into_iter())
}

/// Adds up outcomes; ends with the first error of the output.
fn collect(outcomes: impl Iterator<Item = (usize, io::Result<Outcome>)>) -> io::Result<Outcome> {
    let mut all = Totals::default();
    let mut first: Option<(usize, Failure)> = None;
    for (index, outcome) in outcomes {
        let (totals, failure) = outcome?;
        all.add(totals);
        if let Some(failure) = failure {
            if first.as_ref().is_none_or(|(earlier, _)| index < *earlier) {
                first = Some((index, failure));
            }
        }
    }
    Ok((all, first.map(|(_, failure)| failure)))
}

/// The ids that remain to be fetched, shared by the threads that fetch them.
struct Work {
    client: Client,
    plan: Plan,
    output: Arc<Output>,
    terminal: Arc<Terminal>,
    /// Index of the next id in the plan.
    next: AtomicUsize,
}

impl Work {
    /// Fetches the next id; `None` after the last.
    fn fetch_next(&self) -> Option<(usize, io::Result<Outcome>)> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        let id = *self.plan.ids.get(index)?;
        Some((index, self.fetch(id)))
    }

    fn fetch(&self, id: i32) -> io::Result<Outcome> {
        let timeout = self.plan.config.timeout;
        let stream = tutorial::fetch(&self.client, id);
        match self.plan.resume {
            None => {
                let failure = |error: &_| Failure::of_call(error, timeout);
                self.print(id, stream, ResponseStream::is_ready, failure)
            }
            Some(policy) => {
                let stream = stream.resuming(policy);
                let failure = |error: &_| Failure::of_resuming(error, timeout);
                self.print(id, stream, ResumingStream::is_ready, failure)
            }
        }
    }

    /// Prints the responses of a call.
    fn print<S, E>(
        &self,
        id: i32,
        mut fetch: S,
        is_ready: fn(&S) -> bool,
        failure_of: impl FnOnce(&E) -> Failure,
    ) -> io::Result<Outcome>
    where
        S: Iterator<Item = Result<Response, E>>,
    {
        let began = Instant::now();
        let mut totals = Totals::default();
        let mut count = self.terminal.count();
        let mut failure = None;
        while self.plan.take.is_none_or(|take| totals.responses < take) {
            let response = match fetch.next() {
                None => break,
                Some(Ok(response)) => response,
                Some(Err(error)) => {
                    failure = Some(failure_of(&error));
                    break;
                }
            };
            let line = Line {
                id,
                sequence: totals.responses,
                elapsed: began.elapsed(),
                result: &response.result,
            };
            let more = is_ready(&fetch);
            self.output.response(&line, more)?;
            count.add(response.result.len(), more);
            totals.add(Totals {
                responses: 1,
                bytes: response.result.len() as u64,
                first: Some(line.elapsed),
            });
        }
        self.output.flush()?;
        if let Some(failure) = &failure {
            failure.print(&self.terminal, Some(id));
        }
        Ok((totals, failure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_in_the_order_of_the_ids_decides() {
        let failed = |index, status: &str| {
            let failure = Failure {
                status: status.into(),
                message: String::new(),
                exit: Exit::Status,
            };
            (index, Ok((Totals::default(), Some(failure))))
        };
        let fine = (0, Ok((Totals::default(), None)));
        let outcomes = [failed(2, "ABORTED"), fine, failed(1, "INTERNAL")];
        let (_, failure) = collect(outcomes.into_iter()).unwrap();
        assert_eq!(failure.unwrap().status, "INTERNAL");
    }
}
