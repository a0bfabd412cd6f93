//! The response writer of one call: a future on the call's poll thread that moves messages from the
//! call's channel to its sink.
//!
//! It alone touches the sink, never blocks, and ends every call with exactly one status, unless the
//! call is already over or is cut. If another message is queued, the buffer hint lets both share a
//! write; the last one is flushed. It must not know the content of the messages.
//!
//! | phase | level `Open` | level `Abort` | level `Cut` |
//! | --- | --- | --- | --- |
//! | `Sending` | sends; at the end of the channel → `Closing` | → `Closing`, the queue is dropped | → `Over` |
//! | `Closing` | waits for the reader to take the status → `Over` | the same | → `Over` |
//! | `Over` | done | done | done |
//!
//! A lost client leads from each phase to `Over`. A panic of user code (a marshaller, a `Drop`)
//! leads from `Sending` to `Closing` with INTERNAL, and from `Closing` to `Over`.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Sink;
use grpcio::{Deadline, RpcStatus, RpcStatusCode, ServerStreamingSink, WriteFlags};

use super::super::call::Call;
use super::super::channel::{Receiver, RecvError};
use super::super::panic::{drop_caught, run_caught};
use super::super::stats::{ended, CallEnd, Observation};
use super::super::status::{has_metadata, known, sendable, with_metadata};
use super::super::termination::Level;
use super::super::yielding::yield_briefly;

/// Writes the responses of one call. Dropping it ends the call in every case.
pub(in crate::engine) struct ResponseWriter<T: Send + 'static> {
    call: Arc<Call<T>>,
    phase: Phase<T>,
    /// The number of messages that the sink has taken, joined ones as one: the reader's progress.
    /// Never 0.
    taken: u32,
    /// The terminator has recorded that the writer waits for the reader.
    waits_for_reader: bool,
    deadline: Deadline,
    /// The status of the call for its client; CANCELLED until it is known.
    code: RpcStatusCode,
    /// True until the headers are sent, with the first message or before it.
    awaits_headers: bool,
    /// True until the first message is sent.
    awaits_first: bool,
    observation: Observation,
}

enum Phase<T: Send + 'static> {
    Sending {
        sink: ServerStreamingSink<T>,
        messages: Receiver<T>,
    },
    /// The status follows the messages in the sink. Once the sink is ready, it takes the status.
    Closing {
        sink: ServerStreamingSink<T>,
        code: RpcStatusCode,
        is_ready: bool,
    },
    Over,
}

impl<T: Send + 'static> ResponseWriter<T> {
    pub(in crate::engine) fn new(
        call: Arc<Call<T>>,
        messages: Receiver<T>,
        sink: ServerStreamingSink<T>,
        deadline: Deadline,
        observation: Observation,
    ) -> ResponseWriter<T> {
        ResponseWriter {
            call,
            phase: Phase::Sending { sink, messages },
            taken: 1,
            waits_for_reader: false,
            deadline,
            code: RpcStatusCode::CANCELLED,
            awaits_headers: true,
            awaits_first: true,
            observation,
        }
    }

    /// Sends queued messages; ready when no more will be sent.
    fn poll_sending(&mut self, cx: &mut Context<'_>) -> Poll<SendEnd> {
        let Phase::Sending { sink, messages } = &mut self.phase else {
            return Poll::Ready(SendEnd::ClientGone);
        };
        loop {
            // This also notices a cancellation or a deadline while the channel is empty.
            match Pin::new(&mut *sink).poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(SendEnd::ClientGone),
                Poll::Pending => {
                    self.call.terminator().wait_for_reader(self.taken);
                    self.waits_for_reader = true;
                    return Poll::Pending;
                }
            }
            if self.waits_for_reader {
                self.waits_for_reader = false;
                self.call.terminator().stop_waiting();
            }
            if self.call.terminator().level() != Level::Open {
                return Poll::Ready(SendEnd::Complete);
            }
            if messages.len() == 1 && !messages.is_closed() {
                yield_briefly();
            }
            let queued = match messages.poll_recv(cx) {
                Poll::Ready(Some(queued)) => queued,
                Poll::Ready(None) => return Poll::Ready(SendEnd::Complete),
                Poll::Pending => {
                    if self.call.rests() {
                        messages.free_memory();
                    }
                    return Poll::Pending;
                }
            };
            // The status follows the last message, and both can share a write.
            let more = messages.peek() != Err(RecvError::Empty);
            // The patched C-core takes the second flag as the mark of frames. Without any frame the
            // headers are sent alone.
            let flags = WriteFlags::default()
                .buffer_hint(more)
                .force_no_compress(queued.count != 1);
            if self.awaits_first && self.awaits_headers {
                if let Some(headers) = self.call.context().seal_response_headers() {
                    sink.set_headers(headers.clone());
                }
            }
            // Counted before it is sent: a message whose `Drop` panics has been sent.
            let (count, bytes) = (queued.count.into(), queued.size.into());
            self.call.counters().sent(count, bytes);
            match Pin::new(&mut *sink).start_send((queued.message, flags)) {
                Ok(()) => {}
                Err(error) => {
                    self.call.counters().not_sent(count, bytes);
                    return Poll::Ready(match error {
                        grpcio::Error::Codec(error) => SendEnd::Failed(error),
                        _ => SendEnd::ClientGone,
                    });
                }
            }
            if self.awaits_first {
                self.awaits_headers = false;
                if count > 0 {
                    self.awaits_first = false;
                    let after = self.call.arrived().elapsed();
                    self.call.counters().first_after(after);
                }
            }
            self.taken = self.taken.wrapping_add(1).max(1);
        }
    }

    /// From `Sending` to `Closing`, with the status of the call.
    fn close(&mut self) {
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        let Phase::Sending { mut sink, messages } = phase else {
            self.phase = phase;
            return;
        };
        let status = self.call.terminator().seal().map(sendable);
        let code = status.as_ref().map_or(RpcStatusCode::OK, |s| s.code());
        // Most streams end with OK alone.
        let context = self.call.context();
        let headers =
            (self.awaits_headers && has_metadata()).then(|| context.seal_response_headers());
        let (headers, trailers) = (headers.flatten(), context.seal_response_trailers());
        if status.is_some() || headers.is_some() || trailers.is_some() {
            let status = status.unwrap_or_else(RpcStatus::ok);
            sink.set_status(with_metadata(status, headers, trailers));
        }
        self.phase = Phase::Closing {
            sink,
            code,
            is_ready: false,
        };
        self.end_call(messages);
    }

    /// From any phase to `Over`, without a status. Dropping the sink cancels the call.
    fn cut(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Sending { messages, .. } => {
                if let Some(status) = self.call.terminator().seal() {
                    self.code = known(status.code());
                }
                self.end_call(messages);
            }
            Phase::Closing { code, .. } if code != RpcStatusCode::OK => self.code = code,
            Phase::Closing { .. } | Phase::Over => {}
        }
    }

    /// The client or its connection was lost.
    fn lose_client(&mut self) {
        self.code = match self.deadline.exceeded() {
            true => RpcStatusCode::DEADLINE_EXCEEDED,
            false => RpcStatusCode::CANCELLED,
        };
        if let Phase::Sending { messages, .. } = std::mem::replace(&mut self.phase, Phase::Over) {
            self.end_call(messages);
        }
    }

    /// Ends the workers' side of the call. A worker drops the unsent messages, since their `Drop`
    /// is user code.
    fn end_call(&mut self, messages: Receiver<T>) {
        messages.disconnect();
        let is_empty = messages.is_empty();
        self.call.end((!is_empty).then_some(messages));
    }

    /// Sends the status after the messages. The sink is kept meanwhile: dropping it early would
    /// cancel the call.
    fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Phase::Closing {
            sink,
            code,
            is_ready,
        } = &mut self.phase
        else {
            return Poll::Ready(());
        };
        let mut sink = Pin::new(sink);
        // From here on an error means that the client is lost and no status can reach it.
        let closed = match is_ready {
            false => match sink.as_mut().poll_ready(cx) {
                Poll::Ready(Ok(())) => {
                    *is_ready = true;
                    self.taken = self.taken.wrapping_add(1).max(1);
                    sink.as_mut().poll_close(cx)
                }
                other => other,
            },
            true => sink.as_mut().poll_close(cx),
        };
        match closed {
            Poll::Pending => {
                self.call.terminator().wait_for_reader(self.taken);
                return Poll::Pending;
            }
            Poll::Ready(Ok(())) => self.code = *code,
            // A failure is the outcome even if its client did not wait for it.
            Poll::Ready(Err(_)) if *code != RpcStatusCode::OK => self.code = *code,
            Poll::Ready(Err(_)) => self.lose_client(),
        }
        self.phase = Phase::Over;
        Poll::Ready(())
    }

    fn poll_phases(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Before the level is read, so that every later rise wakes this task.
        self.call.terminator().attach(cx.waker());
        loop {
            match (&self.phase, self.call.terminator().level()) {
                (Phase::Over, _) => return Poll::Ready(()),
                (_, Level::Cut) => self.cut(),
                (Phase::Sending { .. }, Level::Abort) => self.close(),
                (Phase::Sending { .. }, Level::Open) => match self.poll_sending(cx) {
                    Poll::Ready(SendEnd::Complete) => self.close(),
                    Poll::Ready(SendEnd::ClientGone) => self.lose_client(),
                    Poll::Ready(SendEnd::Failed(error)) => {
                        tracing::error!(%error, "a response cannot be encoded");
                        self.call.fail_writing("a response cannot be encoded");
                        self.close();
                    }
                    Poll::Pending => return Poll::Pending,
                },
                (Phase::Closing { .. }, _) => match self.poll_closing(cx) {
                    Poll::Ready(()) => {}
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }

    /// After a panic of user code.
    fn fail(&mut self) {
        match &self.phase {
            Phase::Sending { .. } => {
                self.call.fail_writing("the server panicked");
                self.close();
            }
            Phase::Closing { .. } | Phase::Over => self.cut(),
        }
    }
}

/// The reason for sending no more messages.
enum SendEnd {
    /// All messages are sent, or the rest is dropped.
    Complete,
    ClientGone,
    /// A message could not be encoded.
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

// Nothing in it is pinned: the futures it polls are `Unpin`, and messages are moved.
impl<T: Send + 'static> Unpin for ResponseWriter<T> {}

impl<T: Send + 'static> Future for ResponseWriter<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let writer = &mut *self;
        loop {
            match run_caught("user code on a poll thread", || writer.poll_phases(cx)) {
                Some(poll) => return poll,
                // The phase is `Closing` or `Over` after this, so a second panic ends the loop.
                None => writer.fail(),
            }
        }
    }
}

impl<T: Send + 'static> Drop for ResponseWriter<T> {
    fn drop(&mut self) {
        run_caught("user code on a poll thread", || self.cut());
        self.call.terminator().detach();
        let end = CallEnd {
            code: self.code,
            counts: super::super::limits::OpenStream::counts(&*self.call),
            lasted: self.call.arrived().elapsed(),
            subject: self.call.context().subject(),
            refused: None,
        };
        self.call.report_end(&end);
        ended(self.observation.take(), &end);
        self.call.writer_dropped();
        drop_caught(std::mem::replace(&mut self.phase, Phase::Over));
    }
}
