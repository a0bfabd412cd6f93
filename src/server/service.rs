//! A service of one's own: its methods, with handlers that may block. It must not know addresses or
//! what else a server offers.

use std::fmt;
use std::sync::Arc;

use grpcio::{Method, RpcContext, RpcStatus, ServiceBuilder};
use protobuf::Message;

use crate::engine::codec::{server_streaming, Encoded, Raw};
use crate::engine::{CallContext, IntoEncoded, IntoJobs, Job, Jobs, Streams};
#[cfg(feature = "services")]
use crate::names::split_method;

/// Methods to be served, of one service or several. Handlers and the producers that they return run
/// on worker threads and may block. A panic in one ends its call with INTERNAL.
///
/// ```
/// use fanstream::proto::stream::{Request, Response};
/// use fanstream::server::Service;
/// use fanstream::tutorial::FETCH_RESPONSE; // generated code has such a constant for each method
///
/// let service = Service::new().server_streaming(&FETCH_RESPONSE, |_call, request: Request| {
///     Ok((0..3).map(move |n| {
///         let mut response = Response::new();
///         response.set_result(format!("{n} of {}", request.id)); // this may block
///         Ok(response)
///     }))
/// });
/// # drop(service);
/// ```
#[must_use]
pub struct Service {
    parts: Vec<Part>,
    keeps_metadata: bool,
}

/// Adds a method to a service, given the streams of its server and the largest request.
type Add = Box<dyn FnOnce(ServiceBuilder, &Streams, usize) -> ServiceBuilder + Send>;

enum Part {
    Method {
        /// Its full name, `/package.Service/Method`.
        name: &'static str,
        add: Add,
    },
    Generated {
        /// The full name of the service, `package.Service`.
        #[cfg_attr(not(feature = "services"), allow(dead_code))]
        name: &'static str,
        make: Box<dyn FnOnce(&Streams) -> grpcio::Service + Send>,
    },
}

impl Default for Service {
    fn default() -> Service {
        Service::new()
    }
}

impl Service {
    /// No methods yet.
    pub fn new() -> Service {
        Service {
            parts: Vec::new(),
            keeps_metadata: true,
        }
    }

    /// Adds a server streaming method. `handler` turns a request into producers, or into the status
    /// that the call ends with. It returns an iterator, a [`Job`], or [`Jobs`].
    ///
    /// The worker that makes a response also encodes it. A handler that wants to encode responses itself
    /// returns jobs of [`Encoded`].
    pub fn server_streaming<Req, Resp, R>(
        self,
        method: &Method<Req, Resp>,
        handler: impl Fn(&CallContext, Req) -> Result<R, RpcStatus> + Send + Sync + 'static,
    ) -> Service
    where
        Req: Message,
        Resp: Message,
        R: IntoJobs,
        R::Message: IntoEncoded<Resp>,
    {
        self.method(method.name, move |call, request| {
            let jobs = handler(call, request)?.into_jobs();
            Ok(R::Message::encode_jobs(jobs))
        })
    }

    /// Adds a unary method. `handler` turns a request into the response, or into the status that the
    /// call ends with.
    ///
    /// The call counts as a stream, in limits and metrics: on the wire it is a stream of one message.
    pub fn unary<Req, Resp>(
        self,
        method: &Method<Req, Resp>,
        handler: impl Fn(&CallContext, Req) -> Result<Resp, RpcStatus> + Send + Sync + 'static,
    ) -> Service
    where
        Req: Message,
        Resp: Message,
    {
        self.method(method.name, move |call, request| {
            let response = Encoded::new(&handler(call, request)?);
            Ok(Job::now(std::iter::once(response)).into())
        })
    }

    /// A service by grpcio's generated code, or by [`ServiceBuilder`]: `make` is given the streams of
    /// the server, and its handlers call [`Streams::serve`]. `name` is its full name,
    /// `package.Service`, for health and reflection.
    ///
    /// Its handlers run on poll threads, so they must not block. Calls that they answer without
    /// [`Streams::serve`] count in no limit and no metric, and a shutdown does not wait for them. A
    /// method in which the server speaks first needs
    /// [`await_requests`](super::ServerConfig::await_requests) to be false.
    pub fn generated(
        #[cfg_attr(not(feature = "services"), allow(dead_code))] name: &'static str,
        make: impl FnOnce(&Streams) -> grpcio::Service + Send + 'static,
    ) -> Service {
        let mut service = Service::new();
        service.parts.push(Part::Generated {
            name,
            make: Box::new(make),
        });
        service
    }

    /// Has the calls of this service keep neither the address of their peer nor their request headers:
    /// [`CallContext::peer`] and [`CallContext::headers`] are `None` then.
    pub fn without_metadata(mut self) -> Service {
        self.keeps_metadata = false;
        self
    }

    fn method<Req: Message, Resp: Message>(
        mut self,
        name: &'static str,
        open: impl Fn(&CallContext, Req) -> Result<Jobs<Encoded<Resp>>, RpcStatus>
            + Send
            + Sync
            + 'static,
    ) -> Service {
        let open = Arc::new(open);
        let add = move |service: ServiceBuilder, streams: &Streams, max_request_bytes| {
            streams.register_method(name);
            let streams = streams.clone();
            let handler = move |ctx: RpcContext<'_>, request: Raw<Req>, sink| {
                let open = open.clone();
                streams.serve(&ctx, sink, move |call| {
                    open(call, request.decode(max_request_bytes)?)
                });
            };
            service.add_server_streaming_handler(&server_streaming::<Req, Resp>(name), handler)
        };
        self.parts.push(Part::Method {
            name,
            add: Box::new(add),
        });
        self
    }

    /// Full names of its methods, `/package.Service/Method`, except those of generated code.
    pub(super) fn methods(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.parts.iter().filter_map(|part| match part {
            Part::Method { name, .. } => Some(*name),
            Part::Generated { .. } => None,
        })
    }

    /// Full names of the services that its methods are of. A name can come more than once.
    #[cfg(feature = "services")]
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.parts.iter().map(|part| match part {
            Part::Method { name, .. } => split_method(name).0,
            Part::Generated { name, .. } => name,
        })
    }

    /// True when grpcio decodes some of its requests, without a limit of ours on their size.
    pub(super) fn is_generated(&self) -> bool {
        let generated = |part: &Part| matches!(part, Part::Generated { .. });
        self.parts.iter().any(generated)
    }

    /// For a server with these `streams`.
    pub(super) fn build(self, streams: &Streams, max_request_bytes: usize) -> Vec<grpcio::Service> {
        let streams = match self.keeps_metadata {
            true => streams.clone(),
            false => streams.without_metadata(),
        };
        let mut services = Vec::new();
        let mut methods = ServiceBuilder::new();
        for part in self.parts {
            match part {
                Part::Method { add, .. } => methods = add(methods, &streams, max_request_bytes),
                Part::Generated { make, .. } => services.push(make(&streams)),
            }
        }
        services.push(methods.build());
        services
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("methods", &self.methods().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
