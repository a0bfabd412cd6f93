//! Starts a server for any services. It must not know flags, nor how calls run: that is the
//! engine's part. The shutdown is in `drain.rs`.

mod builder;
mod built_in;
mod config;
pub mod connections;
mod core;
mod drain;
mod error;
mod extensions;
mod handle;
pub mod listen;
mod memory;
mod observers;
mod signals;

pub use crate::extension::{BoxError, Extension, Service, Setup, Started};
#[cfg(feature = "services")]
pub use crate::services::ServicesConfig;
pub use builder::ServerBuilder;
pub use config::ServerConfig;
pub use drain::Drained;
pub use error::StartError;
pub use handle::ServerHandle;
pub use signals::Signals;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::address::Address;
use crate::c_core::{check_threads, redirect_log, warn_if_unpatched};
use crate::engine::{Streams, Workers};
use built_in::with_built_in;
use core::Core;
use drain::Progress;
use extensions::{Candidate, Extensions};
use listen::Bound;
use observers::Observers;

/// A running server, made by [`Server::builder`].
///
/// Dropping it without a shutdown ends all calls at once.
pub struct Server {
    running: Arc<Running>,
}

/// The parts of a running server, for [`Server`] and [`ServerHandle`].
struct Running {
    core: Core,
    progress: Progress,
    started: Arc<Started>,
    // Dropped after the core, which still calls their checks and observers.
    extensions: Extensions,
}

impl Server {
    /// Returns a builder with the default configuration.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// Starts a server, in this order: files are read and threads are counted; workers start; the
    /// extensions are configured; addresses are bound; calls are accepted; the extensions are told.
    fn start(builder: ServerBuilder) -> Result<Server, StartError> {
        let config = &builder.config;
        if config.listen.is_empty() {
            return Err(StartError::NoAddress);
        }
        redirect_log();
        warn_if_unpatched();
        let extensions = with_built_in(config, builder.extensions)?;
        check_threads(needed_threads(config, processors(), &extensions))?;
        let workers = Workers::new(config.workers.clone())?;
        let observers = Arc::new(Observers::default());
        let streams = config.streams.clone();
        let streams = Streams::with_observer(workers.clone(), streams, Some(observers.clone()));
        let mut setup = Setup::new(streams, workers);
        setup.services = builder.services;
        setup.descriptors = builder.descriptors;
        let extensions = Extensions::configure(extensions, &mut setup)?;
        let additions = builder.additions.into_iter();
        additions.for_each(|add| add(&mut setup));
        no_method_twice(&setup)?;
        observers.set(std::mem::take(&mut setup.observers));
        let (core, started) = Core::start(config, setup)?;
        extensions.started(&started);
        let running = Running {
            core,
            progress: Progress::default(),
            started,
            extensions,
        };
        Ok(Server {
            running: Arc::new(running),
        })
    }

    /// Returns the first bound address, with the port that the system chose for port 0. For a client
    /// in the same process, such as in a test.
    pub fn address(&self) -> &Address {
        &self.bound()[0].address
    }

    /// Returns the bound addresses, in the order of the configuration. There is at least one.
    pub fn bound(&self) -> &[Bound] {
        &self.running.started.bound
    }

    /// Returns its streams, for example to count or abort them.
    pub fn streams(&self) -> &Streams {
        self.running.streams()
    }

    /// Returns its first extension of this type.
    pub fn extension<T: Extension>(&self) -> Option<&T> {
        self.running.extensions.find()
    }

    /// Reads the TLS files and the token file now, and uses what changed: for new connections, and
    /// for new calls. A line in the log says what was reloaded, or that nothing changed. Never blocks,
    /// except for 2 s if an [`Extension`] does.
    ///
    /// The server reloads changed files by itself too, within a second.
    pub fn reload(&self) {
        if cfg!(not(feature = "tls")) {
            tracing::info!("no TLS or tokens to reload: this server is built without them");
        }
        self.running.extensions.reload();
    }
}

impl Running {
    fn streams(&self) -> &Streams {
        &self.started.streams
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("bound", &self.bound())
            .field("streams", self.streams())
            .finish_non_exhaustive()
    }
}

/// The processors available to this process, possibly fewer than the machine's.
fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The number of threads of a server, without those of the C-core: a poll thread a processor, the
/// clock, the first workers, and those of the extensions.
fn needed_threads(config: &ServerConfig, processors: usize, extensions: &[Candidate]) -> usize {
    let workers = processors.min(config.workers.max_threads.max(1));
    let of_extensions = extensions.iter().map(Candidate::threads);
    processors + 1 + workers + of_extensions.sum::<usize>()
}

fn no_method_twice(setup: &Setup) -> Result<(), StartError> {
    let mut seen = HashSet::new();
    let twice = setup.methods().find(|method| !seen.insert(*method));
    twice.map_or(Ok(()), |method| Err(StartError::DuplicateMethod(method)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Extension for Nothing {}

    #[test]
    fn each_part_has_its_threads() {
        let mut config = ServerConfig::default();
        let built_in = || with_built_in(&ServerConfig::default(), Vec::new()).unwrap();
        assert_eq!(needed_threads(&config, 2, &built_in()), 2 + 3);
        config.workers.max_threads = 1;
        assert_eq!(needed_threads(&config, 2, &built_in()), 2 + 2);
        let mut all = built_in();
        all.push(Candidate::of_user(Box::new(Nothing)));
        assert_eq!(needed_threads(&config, 2, &all), 2 + 2 + 1);
    }
}
