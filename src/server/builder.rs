//! Builds a server from its configuration and its services. It must not serve calls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use grpcio::RpcContext;

use super::{Drained, Server, ServerConfig, Signals, StartError};
use crate::address::{Address, AddressError};
use crate::engine::{Observer, StreamsConfig, WorkersConfig};
use crate::extension::{Extension, Service, Setup};
use crate::Status;

/// Builds a [`Server`].
///
/// ```
/// use std::time::Duration;
/// use fanstream::client::Client;
/// use fanstream::proto::stream::{Request, Response};
/// use fanstream::server::{Server, Service};
/// use fanstream::tutorial::FETCH_RESPONSE; // generated code has such a constant for each method
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let greeter = Service::new().server_streaming(&FETCH_RESPONSE, |_call, request: Request| {
///     Ok((0..3).map(move |n| {
///         let mut response = Response::new();
///         response.set_result(format!("{n} of {}", request.id));
///         Ok(response)
///     }))
/// });
/// let server = Server::builder()
///     .listen("127.0.0.1:0")
///     .add_service(greeter)
///     .start()?;
///
/// let client = Client::connect(server.address())?;
/// let mut request = Request::new();
/// request.set_id(7);
/// for response in client.call(&FETCH_RESPONSE, request) {
///     println!("{}", response?.result); // blocks until it arrives
/// }
/// server.shutdown(Duration::from_secs(1));
/// # Ok(())
/// # }
/// ```
#[must_use]
#[derive(Default)]
pub struct ServerBuilder {
    pub(super) config: ServerConfig,
    /// The first text that is not an address, for [`ServerBuilder::start`].
    bad_address: Option<AddressError>,
    pub(super) services: Vec<Service>,
    pub(super) descriptors: Vec<Vec<u8>>,
    pub(super) extensions: Vec<Box<dyn Extension>>,
    /// What is added after the extensions: checks and observers.
    pub(super) additions: Vec<Addition>,
}

type Addition = Box<dyn FnOnce(&mut Setup) + Send>;

impl ServerBuilder {
    /// Replaces the whole configuration, including values set earlier.
    pub fn config(mut self, config: ServerConfig) -> ServerBuilder {
        self.config = config;
        self.bad_address = None;
        self
    }

    /// Adds an address to listen on: an [`Address`] or a text such as `"localhost:50005"`. Port 0 lets
    /// the system choose one: see [`Server::address`]. [`ServerBuilder::start`] returns an error if the
    /// text is not an address.
    pub fn listen(
        mut self,
        address: impl TryInto<Address, Error: Into<AddressError>>,
    ) -> ServerBuilder {
        let address = self.parse(address);
        self.config.listen.extend(address);
        self
    }

    /// Configures the threads that run handlers and producers.
    pub fn workers(mut self, workers: WorkersConfig) -> ServerBuilder {
        self.config.workers = workers;
        self
    }

    /// Sets the limits of streams, and the capacity of their channels.
    pub fn streams(mut self, streams: StreamsConfig) -> ServerBuilder {
        self.config.streams = streams;
        self
    }

    /// Sets the maximum request size in bytes. The default is 4 MiB.
    pub fn max_request_bytes(mut self, bytes: usize) -> ServerBuilder {
        self.config.max_request_bytes = bytes;
        self
    }

    /// Adds a check that runs before the handler of every call, for example of headers, method,
    /// peer or client certificate. Checks run in the order of their addition. If one returns an
    /// error, the call ends with that status. Tokens and extensions come before them.
    ///
    /// `check` runs on a poll thread, so it must not block. If it panics, the call ends with
    /// INTERNAL. A call of an unknown method ends with UNIMPLEMENTED before any check.
    pub fn check(
        self,
        check: impl Fn(&RpcContext<'_>) -> Result<(), Status> + Send + Sync + 'static,
    ) -> ServerBuilder {
        self.addition(|setup| setup.check("check", check))
    }

    /// Adds an observer of every call.
    pub fn observer(self, observer: Arc<dyn Observer>) -> ServerBuilder {
        self.addition(|setup| setup.observe(observer))
    }

    /// Adds an extension: a part with a life of its own, which can add services, checks and observers,
    /// and is told when the server starts, drains and stops.
    pub fn extension(mut self, extension: impl Extension) -> ServerBuilder {
        self.extensions.push(Box::new(extension));
        self
    }

    /// Adds a service.
    pub fn add_service(mut self, service: Service) -> ServerBuilder {
        self.services.push(service);
        self
    }

    /// Adds descriptors for reflection: an encoded `FileDescriptorSet` that includes all imports. A
    /// server without reflection ignores them.
    pub fn descriptors(mut self, set: impl Into<Vec<u8>>) -> ServerBuilder {
        self.descriptors.push(set.into());
        self
    }

    /// Binds the addresses and starts the server. Returns once it accepts calls. Blocks only while
    /// files are read and host names are resolved.
    ///
    /// The first server or client of a process redirects the C-core's log from standard error to
    /// `tracing`, at level debug.
    ///
    /// # Errors
    /// [`StartError`], for example if a file is unusable, an address is taken, two services have
    /// the same method, an extension fails, or no thread can be started.
    pub fn start(mut self) -> Result<Server, StartError> {
        match self.bad_address.take() {
            Some(error) => Err(error.into()),
            None => Server::start(self),
        }
    }

    /// Starts the server and blocks until the process receives SIGTERM or SIGINT, then drains for
    /// at most `grace`: see [`Server::shutdown`]. A second signal ends the process at once, with
    /// exit code 128 plus the signal's number. SIGHUP calls [`Server::reload`].
    ///
    /// [`Signals::register`] says what other signals do meanwhile. Afterwards each does what it did
    /// before.
    ///
    /// # Errors
    /// As [`ServerBuilder::start`].
    pub fn serve(self, grace: Duration) -> Result<Drained, StartError> {
        // Registered before the start, so an early signal is not lost.
        let mut signals = Signals::register()?;
        let server = self.start()?;
        signals.wait_reloading(|| server.reload());
        Ok(server.shutdown(grace))
    }

    fn addition(mut self, add: impl FnOnce(&mut Setup) + Send + 'static) -> ServerBuilder {
        self.additions.push(Box::new(add));
        self
    }

    pub(super) fn parse(
        &mut self,
        address: impl TryInto<Address, Error: Into<AddressError>>,
    ) -> Option<Address> {
        match address.try_into() {
            Ok(address) => Some(address),
            Err(error) => {
                self.bad_address.get_or_insert(error.into());
                None
            }
        }
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder")
            .field("config", &self.config)
            .field("services", &self.services)
            .finish_non_exhaustive()
    }
}
