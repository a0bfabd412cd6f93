//! Runs the extensions of a server. It must not know what they are for.
//!
//! A built-in extension runs on the caller's thread, and bounds its own time. Every other one has a
//! thread, on which all its calls run but `configure`. So a call that never returns holds up nobody.

use std::any::Any;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{bounded, unbounded, RecvTimeoutError, Sender};

use super::StartError;
use crate::engine::panic::run_caught;
use crate::extension::{Extension, Setup, Started};

/// Time that the server waits for its extensions at each step, for all of them together.
const STEP_TIMEOUT: Duration = Duration::from_secs(2);

/// An extension before its configuration.
pub(super) struct Candidate {
    extension: Box<dyn Extension>,
    is_built_in: bool,
}

impl Candidate {
    pub(super) fn built_in(extension: impl Extension) -> Candidate {
        Candidate {
            extension: Box::new(extension),
            is_built_in: true,
        }
    }

    pub(super) fn of_user(extension: Box<dyn Extension>) -> Candidate {
        Candidate {
            extension,
            is_built_in: false,
        }
    }

    /// The number of threads that it needs, with its own one.
    pub(super) fn threads(&self) -> usize {
        self.extension.threads() + usize::from(!self.is_built_in)
    }

    fn configure(mut self, setup: &mut Setup) -> Result<Member, StartError> {
        let name = self.extension.name().to_owned();
        let who = format!("the extension {name}");
        let configured = run_caught(&who, || self.extension.configure(setup));
        let configured = configured.unwrap_or_else(|| Err("it panicked".into()));
        configured.map_err(|reason| StartError::extension(&name, reason))?;
        let extension: Arc<dyn Extension> = self.extension.into();
        let calls = match self.is_built_in {
            true => None,
            false => Some(start_thread(extension.clone())?),
        };
        Ok(Member {
            who,
            extension,
            calls,
        })
    }
}

/// The extensions of a server, in the order of their configuration.
pub(super) struct Extensions(Vec<Member>);

/// A configured extension.
struct Member {
    /// Its name, for messages.
    who: String,
    extension: Arc<dyn Extension>,
    /// To its thread, if it has one.
    calls: Option<Sender<Call>>,
}

type Call = Box<dyn FnOnce(&dyn Extension) + Send>;

/// Starts a thread that ends after the last call, when the sender is dropped.
fn start_thread(extension: Arc<dyn Extension>) -> Result<Sender<Call>, StartError> {
    let (calls, received) = unbounded::<Call>();
    thread::Builder::new()
        .name("fanstream-ext".into())
        .spawn(move || received.into_iter().for_each(|call| call(&*extension)))?;
    Ok(calls)
}

impl Extensions {
    /// Configures all, up to the first failure.
    pub(super) fn configure(
        all: Vec<Candidate>,
        setup: &mut Setup,
    ) -> Result<Extensions, StartError> {
        let members = all.into_iter().map(|one| one.configure(setup));
        members.collect::<Result<_, _>>().map(Extensions)
    }

    pub(super) fn started(&self, server: &Arc<Started>) {
        let server = server.clone();
        tell(self.0.iter(), "started", move |one| one.started(&server));
    }

    pub(super) fn reload(&self) {
        tell(self.0.iter(), "reload", |one| one.reload());
    }

    pub(super) fn draining(&self) {
        tell(self.0.iter().rev(), "draining", |one| one.draining());
    }

    pub(super) fn stopped(&self) {
        tell(self.0.iter().rev(), "stopped", |one| one.stopped());
    }

    /// Returns the first one of this type.
    pub(super) fn find<T: Extension>(&self) -> Option<&T> {
        self.0.iter().find_map(|member| {
            let any: &dyn Any = &*member.extension;
            any.downcast_ref()
        })
    }
}

/// Calls one after the other, and waits for each until the time for all is over.
fn tell<'a>(
    members: impl Iterator<Item = &'a Member>,
    step: &str,
    call: impl Fn(&dyn Extension) + Clone + Send + 'static,
) {
    let deadline = Instant::now() + STEP_TIMEOUT;
    for member in members {
        let (who, call) = (member.who.clone(), call.clone());
        let call = move |one: &dyn Extension| {
            run_caught(&who, || call(one));
        };
        let Some(calls) = &member.calls else {
            call(&*member.extension);
            continue;
        };
        // The end of `ends` says that the call has returned.
        let (ends, ended) = bounded::<()>(0);
        let sent = calls.send(Box::new(move |one| {
            call(one);
            drop(ends);
        }));
        // A thread ends only when the sender is dropped.
        debug_assert!(sent.is_ok());
        if ended.recv_deadline(deadline) == Err(RecvTimeoutError::Timeout) {
            let seconds = STEP_TIMEOUT.as_secs();
            tracing::warn!(
                "{} has not returned from `{step}`; extensions have {seconds} s, so the server goes on",
                member.who
            );
        }
    }
}
