//! A whole run of the client's program: connect, fetch every id, print what comes, and say how it
//! ended. The only file that knows both the client and its output; it must not parse.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use grpcio::RpcStatusCode;
use humantime::format_duration;

use super::commands::{look, Command};
use super::exit::Exit;
use super::output::{Format, Line, Output, Summary, Tally};
use super::terminal::Terminal;
use crate::client::{status_name, Client, ClientConfig, ConnectError};
use crate::engine::ReceiveError;
use crate::tutorial;

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How to connect and to fetch.
    pub config: ClientConfig,
    /// What to ask for; at least one.
    pub ids: Vec<i32>,
    /// Of each id, cancel the rest after so many responses.
    pub take: Option<u64>,
    /// The most ids that are fetched at the same time.
    pub concurrency: usize,
    /// What a response is printed as.
    pub format: Format,
    /// Print a summary instead of responses.
    pub quiet: bool,
    /// What the user is to be told first.
    pub warnings: Vec<String>,
    /// Instead of fetching: look at the server.
    pub command: Option<Command>,
}

/// Does it; responses go to standard output, failures to standard error. Blocks until every id is
/// fetched, or nobody reads the output any more: then calls can still be open, and end with the
/// process.
pub fn run(plan: Plan) -> Exit {
    let terminal = Arc::new(match plan.command {
        Some(_) => Terminal::without_counter(),
        None => Terminal::stderr(plan.quiet, plan.ids.len()),
    });
    for warning in &plan.warnings {
        terminal.warning(warning);
    }
    if let Some(command) = &plan.command {
        return look(command, plan.config, &terminal);
    }
    let began = Instant::now();
    let written = Output::stdout(plan.format, plan.quiet).and_then(|output| {
        let output = Arc::new(output);
        let (tally, failure) = match Client::connect(&plan.config) {
            Ok(client) => fetch_all(client, plan, &output, &terminal)?,
            Err(error) => {
                let failure = Failure::connecting(&error);
                complain(&terminal, None, &failure);
                (Tally::default(), Some(failure))
            }
        };
        let (status, exit) = match failure {
            Some(failure) => (failure.status, failure.exit),
            None => ("OK".into(), Exit::Complete),
        };
        // What comes last on standard output may go to the same terminal.
        terminal.clear();
        output.finish(&Summary {
            tally,
            duration: began.elapsed(),
            status,
        })?;
        Ok(exit)
    });
    terminal.clear();
    match written {
        Ok(exit) => exit,
        Err(error) => unwritten(&terminal, &error),
    }
}

/// The exit code after an error of standard output.
pub(super) fn unwritten(terminal: &Terminal, error: &io::Error) -> Exit {
    match error.kind() {
        // Whoever reads it has enough: `client | head -1`.
        io::ErrorKind::BrokenPipe => Exit::Complete,
        _ => {
            terminal.failure(&format!("cannot write to standard output: {error}"));
            Exit::Failed
        }
    }
}

/// What came of one id: what was received, and how it failed if it did.
type Outcome = (Tally, Option<Failure>);

/// The same for all ids, with the first failure in their order.
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
        return collect(std::iter::from_fn(|| work.step()));
    }
    // Not scoped threads: when the output is gone, nobody waits for those that wait for responses.
    let (done, outcomes) = crossbeam_channel::unbounded();
    for number in 0..threads {
        let (work, done) = (work.clone(), done.clone());
        let thread = thread::Builder::new().name(format!("client-fetch-{number}"));
        let spawned = thread.spawn(move || {
            while let Some(outcome) = work.step() {
                let _ = done.send(outcome); // nobody listens any more: the output is gone
            }
        });
        match spawned {
            // Fewer threads fetch the same ids.
            Err(_) if number > 0 => break,
            other => drop(other?),
        }
    }
    drop(done);
    collect(outcomes.into_iter())
}

/// Ends with the first error of the output.
fn collect(outcomes: impl Iterator<Item = (usize, io::Result<Outcome>)>) -> io::Result<Outcome> {
    let mut all = Tally::default();
    let mut first: Option<(usize, Failure)> = None;
    for (index, outcome) in outcomes {
        let (tally, failure) = outcome?;
        all.add(tally);
        if let Some(failure) = failure {
            if first.as_ref().is_none_or(|(earlier, _)| index < *earlier) {
                first = Some((index, failure));
            }
        }
    }
    Ok((all, first.map(|(_, failure)| failure)))
}

/// The ids that are still to be fetched; shared by the threads that do it.
struct Work {
    client: Client,
    plan: Plan,
    output: Arc<Output>,
    terminal: Arc<Terminal>,
    /// Where in the plan's ids the next one is.
    next: AtomicUsize,
}

impl Work {
    /// Fetches the next id; `None` when there is none.
    fn step(&self) -> Option<(usize, io::Result<Outcome>)> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        let id = *self.plan.ids.get(index)?;
        Some((index, self.fetch(id)))
    }

    fn fetch(&self, id: i32) -> io::Result<Outcome> {
        let began = Instant::now();
        let mut tally = Tally::default();
        let mut count = self.terminal.count();
        let mut fetch = tutorial::fetch(&self.client, id);
        let mut failure = None;
        while self.plan.take.is_none_or(|take| tally.responses < take) {
            let response = match fetch.next() {
                None => break,
                Some(Ok(response)) => response,
                Some(Err(error)) => {
                    failure = Some(Failure::fetching(&error, self.plan.config.timeout));
                    break;
                }
            };
            let line = Line {
                id,
                sequence: tally.responses,
                elapsed: began.elapsed(),
                result: &response.result,
            };
            let more = fetch.is_ready();
            self.output.response(&line, more)?;
            count.add(response.result.len(), more);
            tally.add(Tally {
                responses: 1,
                bytes: response.result.len() as u64,
                first: Some(line.elapsed),
            });
        }
        self.output.flush()?;
        if let Some(failure) = &failure {
            complain(&self.terminal, Some(id), failure);
        }
        Ok((tally, failure))
    }
}

/// A failure as the user is to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// The name of the status.
    pub(super) status: String,
    pub(super) message: String,
    pub(super) exit: Exit,
}

impl Failure {
    pub(super) fn connecting(error: &ConnectError) -> Failure {
        let code = error.code();
        Failure {
            status: status_name(code),
            message: error.to_string(),
            exit: match code {
                RpcStatusCode::DEADLINE_EXCEEDED => Exit::TimedOut,
                _ => Exit::NoConnection,
            },
        }
    }

    /// `timeout` is that of the fetch.
    pub(super) fn fetching(error: &ReceiveError, timeout: Option<Duration>) -> Failure {
        let (code, message) = match error {
            ReceiveError::Status(status) => (
                status.code(),
                explain(status.code(), status.message(), timeout),
            ),
            ReceiveError::FirstTimeout(after) => (
                RpcStatusCode::DEADLINE_EXCEEDED,
                format!("no response within {}", format_duration(*after)),
            ),
            ReceiveError::IdleTimeout(after) => (
                RpcStatusCode::DEADLINE_EXCEEDED,
                format!("no further response within {}", format_duration(*after)),
            ),
            // What gRPC prescribes for a response that cannot be parsed.
            ReceiveError::Broken(_) => (RpcStatusCode::INTERNAL, error.to_string()),
        };
        Failure {
            status: status_name(code),
            message,
            exit: match code {
                RpcStatusCode::DEADLINE_EXCEEDED => Exit::TimedOut,
                _ => Exit::Status,
            },
        }
    }
}

/// The message of a status; a clearer one where there is none, or only the C-core's.
fn explain(code: RpcStatusCode, message: &str, timeout: Option<Duration>) -> String {
    match (code, message, timeout) {
        (RpcStatusCode::DEADLINE_EXCEEDED, "" | "Deadline Exceeded", Some(timeout)) => {
            format!("not complete within {}", format_duration(timeout))
        }
        (RpcStatusCode::UNIMPLEMENTED, "", _) => {
            "the server does not have protobuf.StreamService".into()
        }
        (_, "", _) => "the server gives no reason".into(),
        _ => message.into(),
    }
}

pub(super) fn complain(terminal: &Terminal, id: Option<i32>, failure: &Failure) {
    let Failure {
        status, message, ..
    } = failure;
    match id {
        Some(id) => terminal.failure(&format!("id {id}: {status}: {message}")),
        None => terminal.failure(&format!("{status}: {message}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_nothing_is_explained() {
        let timeout = Some(Duration::from_millis(1500));
        let late = RpcStatusCode::DEADLINE_EXCEEDED;
        assert_eq!(
            explain(late, "Deadline Exceeded", timeout),
            "not complete within 1s 500ms"
        );
        assert_eq!(
            explain(late, "the server's own", timeout),
            "the server's own"
        );
        assert_eq!(
            explain(late, "Deadline Exceeded", None),
            "Deadline Exceeded"
        );
        let unknown = explain(RpcStatusCode::UNIMPLEMENTED, "", None);
        assert!(unknown.contains("StreamService"));
        assert!(explain(RpcStatusCode::INTERNAL, "", None).contains("no reason"));
    }

    #[test]
    fn the_first_failure_in_the_order_of_the_ids_decides() {
        let failed = |index, status: &str| {
            let failure = Failure {
                status: status.into(),
                message: String::new(),
                exit: Exit::Status,
            };
            (index, Ok((Tally::default(), Some(failure))))
        };
        let fine = (0, Ok((Tally::default(), None)));
        let outcomes = [failed(2, "ABORTED"), fine, failed(1, "INTERNAL")];
        let (_, failure) = collect(outcomes.into_iter()).unwrap();
        assert_eq!(failure.unwrap().status, "INTERNAL");
    }
}
