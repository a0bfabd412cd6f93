//! A server before its start: what its builder and its extensions have added. It must not know who
//! added it.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::fmt;
use std::sync::Arc;

use grpcio::{RpcContext, ServerCredentials};

use super::check::Checker;
use super::Service;
use crate::engine::{Observer, Streams, Workers};
use crate::Status;

/// A server before its start, for [`Extension::configure`](super::Extension::configure).
pub struct Setup {
    pub(crate) streams: Streams,
    pub(crate) workers: Workers,
    pub(crate) services: Vec<Service>,
    pub(crate) descriptors: Vec<Vec<u8>>,
    pub(crate) checks: Vec<Checker>,
    pub(crate) observers: Vec<Arc<dyn Observer>>,
    pub(crate) credentials: Box<dyn Fn() -> ServerCredentials>,
    pub(crate) arguments: Vec<(&'static CStr, i32)>,
    pub(crate) largest_request: usize,
}

impl Setup {
    /// A server without services, and without TLS.
    pub(crate) fn new(streams: Streams, workers: Workers) -> Setup {
        Setup {
            streams,
            workers,
            services: Vec::new(),
            descriptors: Vec::new(),
            checks: Vec::new(),
            observers: Vec::new(),
            credentials: Box::new(ServerCredentials::insecure),
            arguments: Vec::new(),
            largest_request: 0,
        }
    }

    /// Returns the server's streams, for example to count or abort them.
    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Returns the threads that run handlers and producers.
    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    /// Returns the full names of the services so far, `package.Service`, each once.
    pub fn service_names(&self) -> Vec<&'static str> {
        let names: BTreeSet<_> = self.services.iter().flat_map(Service::names).collect();
        names.into_iter().collect()
    }

    /// Returns the full names of the methods so far, `/package.Service/Method`, except those of
    /// generated code.
    pub fn methods(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.services.iter().flat_map(Service::methods)
    }

    /// Returns those of the [`methods`](Setup::methods) that are unary.
    pub fn unary_methods(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.services.iter().flat_map(Service::unary_methods)
    }

    /// Adds a service.
    pub fn add_service(&mut self, service: Service) {
        self.services.push(service);
    }

    /// Adds descriptors for reflection: an encoded `FileDescriptorSet` that includes all imports. A
    /// server without reflection ignores them.
    pub fn add_descriptors(&mut self, set: impl Into<Vec<u8>>) {
        self.descriptors.push(set.into());
    }

    /// Adds a check that runs before the handler of every call, as
    /// [`ServerBuilder::check`](crate::server::ServerBuilder::check) does. The calls that it refuses
    /// are counted under `reason`, a metrics label.
    pub fn check(
        &mut self,
        reason: &'static str,
        check: impl Fn(&RpcContext<'_>) -> Result<(), Status> + Send + Sync + 'static,
    ) {
        let (check, streams) = (Arc::new(check), self.streams.clone());
        self.checks.push(Checker::new(reason, check, streams));
    }

    /// Adds an observer of every call.
    pub fn observe(&mut self, observer: Arc<dyn Observer>) {
        self.observers.push(observer);
    }

    /// Replaces the credentials, also those of `ServerBuilder::tls`. `make` is called for each address
    /// that the server binds.
    pub fn credentials(&mut self, make: impl Fn() -> ServerCredentials + 'static) {
        self.credentials = Box::new(make);
    }

    /// Sets a channel argument of the C-core, such as `c"grpc.http2.max_frame_size"`. It replaces the
    /// server's own one.
    pub fn channel_argument(&mut self, name: &'static CStr, value: i32) {
        self.arguments.push((name, value));
    }

    /// Has the C-core let requests of this many bytes pass, for a service that bounds its own
    /// requests. A larger
    /// [`max_request_bytes`](crate::server::ServerConfig::max_request_bytes) stays.
    pub fn allow_requests(&mut self, bytes: usize) {
        self.largest_request = self.largest_request.max(bytes);
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("services", &self.service_names())
            .field("streams", &self.streams)
            .finish_non_exhaustive()
    }
}
