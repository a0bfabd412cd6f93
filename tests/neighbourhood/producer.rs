//! The producers: what each does on the server, and what the client of its call must receive. It
//! knows no connection.

use std::hint;
use std::iter::once;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use fanstream::engine::{Job, Jobs, Produced, StreamSender};
use fanstream::proto::stream::Response;
use grpcio::RpcStatusCode;

use super::client::End;
use super::judge::Expected;
use crate::common::harness::{failing, response, HOUR};

/// The size of a text, unless a producer has its own.
pub const SMALL: usize = 20;

/// The messages of a producer that has computed or waited.
const FEW: u32 = 3;

/// The status of each producer that fails.
const CODE: RpcStatusCode = RpcStatusCode::DATA_LOSS;
const WHY: &str = "as planned";

/// The plan of a call's producers.
#[derive(Clone, Copy, Debug)]
pub enum Producer {
    /// Makes all messages at once.
    Quick { messages: u32, size: usize },
    /// Makes a message every few milliseconds.
    Ticks {
        messages: u32,
        every_ms: u64,
        how: Tick,
    },
    /// Computes before the first message, all in one call of `next`.
    Computes { ms: u64 },
    /// Waits before the first message, all in one call of `next`.
    Blocks { ms: u64 },
    /// A push job, which may send from a thread of its own.
    Pushes { messages: u32, elsewhere: bool },
    /// Fails after the messages.
    Fails { messages: u32 },
    /// An ordered call whose first job, a push job, sends one message and fails. Two jobs follow.
    OrderedFailure,
    /// Makes one message now, and no other for an hour.
    Stays,
}

/// How a producer waits between messages.
#[derive(Clone, Copy, Debug)]
pub enum Tick {
    /// It sleeps on its worker.
    Sleeps,
    /// Each message has its own job.
    Jobs,
    /// Each message has its own job, and the jobs are ordered.
    OrderedJobs,
}

impl Producer {
    /// The time that the producer takes if nothing delays it.
    pub fn lasts(self) -> Duration {
        Duration::from_millis(match self {
            Producer::Ticks {
                messages, every_ms, ..
            } => u64::from(messages) * every_ms,
            Producer::Computes { ms } | Producer::Blocks { ms } => ms,
            _ => 0,
        })
    }

    /// What the client of call `id` must receive.
    pub fn expected(self, id: i32) -> Expected {
        let (messages, size) = match self {
            Producer::Quick { messages, size } => (messages, size),
            Producer::Ticks { messages, .. }
            | Producer::Pushes { messages, .. }
            | Producer::Fails { messages } => (messages, SMALL),
            Producer::Computes { .. } | Producer::Blocks { .. } => (FEW, SMALL),
            Producer::OrderedFailure | Producer::Stays => (1, SMALL),
        };
        let (code, why) = match self {
            Producer::Fails { .. } | Producer::OrderedFailure => (CODE, WHY),
            _ => (RpcStatusCode::OK, ""),
        };
        Expected {
            texts: (0..messages).map(|n| text(id, n, size)).collect(),
            is_ordered: !matches!(
                self,
                Producer::Ticks {
                    how: Tick::Jobs,
                    ..
                }
            ),
            end: End::Status(code, why.into()),
        }
    }

    /// The jobs of call `id`. `computing` counts the computations that have begun.
    pub fn jobs(self, id: i32, computing: &Arc<AtomicUsize>) -> Jobs<Response> {
        match self {
            Producer::Quick { messages, size } => Job::now(made(id, messages, size)).into(),
            Producer::Ticks {
                messages,
                every_ms,
                how,
            } => ticks(id, messages, Duration::from_millis(every_ms), how),
            Producer::Computes { ms } => {
                let computing = computing.clone();
                let compute = move || {
                    computing.fetch_add(1, SeqCst);
                    spin(Duration::from_millis(ms));
                };
                after(id, compute)
            }
            Producer::Blocks { ms } => {
                // The gate stays shut.
                let gate = crossbeam_channel::never::<()>();
                let wait = move || {
                    let _ = gate.recv_timeout(Duration::from_millis(ms));
                };
                after(id, wait)
            }
            Producer::Pushes {
                messages,
                elsewhere,
            } => push(id, messages, elsewhere).into(),
            Producer::Fails { messages } => {
                let messages = made(id, messages, SMALL);
                Job::now(messages.chain(once(failing(CODE, WHY)))).into()
            }
            Producer::OrderedFailure => ordered_failure(id),
            Producer::Stays => Jobs::from(vec![
                Job::now(made(id, 1, SMALL)),
                Job::after(HOUR, made(id, 1, SMALL)),
            ]),
        }
    }
}

fn ticks(id: i32, messages: u32, every: Duration, how: Tick) -> Jobs<Response> {
    let jobs = || {
        let job = |n: u32| Job::after(every * n, once(Ok(message(id, n, SMALL))));
        Jobs::from((0..messages).map(job).collect::<Vec<_>>())
    };
    match how {
        Tick::Sleeps => {
            let slow = made(id, messages, SMALL).inspect(move |_| thread::sleep(every));
            Job::now(slow).into()
        }
        Tick::Jobs => jobs(),
        Tick::OrderedJobs => jobs().ordered(),
    }
}

/// A few messages, the first of them after `wait`.
fn after(id: i32, wait: impl Fn() + Send + 'static) -> Jobs<Response> {
    let producer = (0..FEW).map(move |n| {
        if n == 0 {
            wait();
        }
        Ok(message(id, n, SMALL))
    });
    Job::now(producer).into()
}

fn push(id: i32, messages: u32, elsewhere: bool) -> Job<Response> {
    Job::push(move |sender: StreamSender<Response>| {
        let send_all = move || {
            for n in 0..messages {
                if sender.send(message(id, n, SMALL)).is_err() {
                    return; // the call is over
                }
            }
        };
        if elsewhere {
            thread::spawn(send_all);
        } else {
            send_all();
        }
        Ok(())
    })
}

/// The jobs behind the failure have messages that nobody expects.
fn ordered_failure(id: i32) -> Jobs<Response> {
    let first = Job::push(move |sender: StreamSender<Response>| {
        // The call may be over already.
        let _ = sender.send(message(id, 0, SMALL));
        failing(CODE, WHY).map(|_| ())
    });
    let second = Job::push(move |sender: StreamSender<Response>| {
        let _ = sender.send(message(id, 1, SMALL));
        Ok(())
    });
    let third = Job::now(once(Ok(message(id, 2, SMALL))));
    Jobs::from(vec![first, second, third]).ordered()
}

/// All messages at once.
fn made(
    id: i32,
    messages: u32,
    size: usize,
) -> impl Iterator<Item = Produced<Response>> + Send + 'static {
    (0..messages).map(move |n| Ok(message(id, n, size)))
}

fn message(id: i32, n: u32, size: usize) -> Response {
    response(text(id, n, size))
}

/// The text of message `n` of call `id`: of `size` bytes, or a few more if that is too short.
fn text(id: i32, n: u32, size: usize) -> String {
    let start = format!("{id}:{n}:");
    format!("{start:.<size$}")
}

/// Keeps a processor busy.
fn spin(length: Duration) {
    let began = Instant::now();
    while began.elapsed() < length {
        hint::spin_loop();
    }
}
