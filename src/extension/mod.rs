//! What a server can be extended by: the trait [`Extension`], and what an extension gets. It must not
//! know the extensions, nor how a server starts.
//!
//! The server's optional parts are extensions too, each in its own room: `security`, `telemetry`,
//! `services`, `metrics`.

mod check;
mod service;
mod setup;

pub use service::Service;
pub use setup::Setup;

use std::any::{type_name, Any};
use std::fmt;

use crate::address::Address;
use crate::engine::{Streams, Workers};
pub use crate::BoxError;

/// A part of a server, with a life of its own: it adds services, checks or observers, and learns when
/// the server starts, drains and stops. See [`ServerBuilder::extension`].
///
/// | method | called | while |
/// | --- | --- | --- |
/// | [`configure`](Extension::configure) | once, by the thread that starts the server | no address is bound |
/// | [`started`](Extension::started) | once | the server accepts calls |
/// | [`reload`](Extension::reload) | by [`Server::reload`], as after SIGHUP | the server accepts calls, or drains |
/// | [`draining`](Extension::draining) | once, at the start of a shutdown | calls are still accepted |
/// | [`stopped`](Extension::stopped) | once, at the end of a shutdown | no connection is left |
///
/// **Order.** Extensions are configured in this order: TLS and tokens, logs and spans, those of the
/// builder in the order of their addition, health and the other services for tools, metrics. So the
/// last ones know the services of all others. The other calls come in the same order, those of a
/// shutdown in the reverse order. A server that does not start, or is dropped without a shutdown, just
/// drops its extensions.
///
/// **Threads and time.** Each extension has a thread, on which all its calls run but `configure`, and
/// there they may block. At each step the server waits for its extensions for 2 s in total. Then it
/// logs which one is late and goes on, so that none can hold up a shutdown. What comes next for a late
/// one waits on its thread.
///
/// **Failures.** An error or a panic in `configure` ends the start with
/// [`StartError::Extension`]. A panic in another call is logged, and affects nothing else.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use fanstream::server::{BoxError, Extension, Server, Setup, Started};
///
/// /// Counts the calls, and writes their number when the server drains.
/// #[derive(Default)]
/// struct CallCounter(Arc<AtomicUsize>);
///
/// impl Extension for CallCounter {
///     fn configure(&mut self, setup: &mut Setup) -> Result<(), BoxError> {
///         let calls = self.0.clone();
///         setup.check("counter", move |_call| {
///             calls.fetch_add(1, Ordering::Relaxed);
///             Ok(())
///         });
///         Ok(())
///     }
///
///     fn started(&self, server: &Started) {
///         println!("serving {:?} on {}", server.services(), server.bound()[0].address);
///     }
///
///     fn draining(&self) {
///         println!("{} calls", self.0.load(Ordering::Relaxed));
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::builder()
///     .listen("127.0.0.1:0")
///     .extension(CallCounter::default())
///     .start()?;
/// let counter = server.extension::<CallCounter>().ok_or("it has one")?;
/// assert_eq!(counter.0.load(Ordering::Relaxed), 0);
/// server.shutdown(Duration::from_secs(1));
/// # Ok(())
/// # }
/// ```
///
/// [`ServerBuilder::extension`]: crate::server::ServerBuilder::extension
/// [`Server::reload`]: crate::server::Server::reload
/// [`StartError::Extension`]: crate::server::StartError::Extension
pub trait Extension: Any + Send + Sync {
    /// Its name, for messages: by default, that of its type.
    fn name(&self) -> &str {
        type_name::<Self>()
    }

    /// The number of threads that it will start. The server does not start if the system does not grant
    /// the threads of all its parts.
    fn threads(&self) -> usize {
        0
    }

    /// Prepares itself, and adds its parts to the server. May block, which delays the start.
    ///
    /// # Errors
    /// If the server cannot start with it.
    fn configure(&mut self, setup: &mut Setup) -> Result<(), BoxError> {
        let _ = setup;
        Ok(())
    }

    /// The server accepts calls. It has accepted some already, perhaps.
    fn started(&self, server: &Started) {
        let _ = server;
    }

    /// Reads again what may have changed, such as files.
    fn reload(&self) {}

    /// The server will refuse new calls as soon as all extensions have returned.
    fn draining(&self) {}

    /// All calls have ended, and all connections are closed, or the server has given them up.
    fn stopped(&self) {}
}

/// A bound address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bound {
    /// The configured address. A port 0 is replaced by the chosen port.
    pub address: Address,
    /// True if other machines can reach it.
    pub exposed: bool,
}

/// A server that accepts calls, for [`Extension::started`].
pub struct Started {
    pub(crate) bound: Vec<Bound>,
    pub(crate) services: Vec<&'static str>,
    pub(crate) streams: Streams,
    pub(crate) workers: Workers,
}

impl Started {
    /// Returns the bound addresses, in the order of the configuration. There is at least one.
    pub fn bound(&self) -> &[Bound] {
        &self.bound
    }

    /// Returns the full names of all services, `package.Service`, each once.
    pub fn services(&self) -> &[&'static str] {
        &self.services
    }

    /// Returns the server's streams, for example to count or abort them.
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Returns the threads that run handlers and producers.
    pub fn workers(&self) -> &Workers {
        &self.workers
    }
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started")
            .field("bound", &self.bound)
            .field("services", &self.services)
            .field("streams", &self.streams)
            .finish_non_exhaustive()
    }
}
