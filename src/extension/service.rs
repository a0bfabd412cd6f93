//! User-defined services: methods and their handlers, which may block. It must not know addresses
//! or the server's other services.

use std::fmt;
use std::sync::Arc;

use grpcio::{Method, RpcContext, ServiceBuilder};

use crate::engine::codec::{server_streaming, Encoded, Message, Raw};
use crate::engine::{CallContext, IntoEncoded, IntoJobs, Job, Jobs, Streams};
use crate::names::split_method;
use crate::Status;

/// Methods of one or several gRPC services. Handlers and their producers run on worker threads and
/// may block. If one panics, its call ends with INTERNAL.
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
    is_direct: bool,
}

/// Adds a method to a service. Its arguments are the server's streams and the request limit in
/// bytes.
type Add = Box<dyn FnOnce(ServiceBuilder, &Streams, usize) -> ServiceBuilder + Send>;

enum Part {
    Method {
        /// Full name: `/package.Service/Method`.
        name: &'static str,
        is_unary: bool,
        add: Add,
    },
    Generated {
        /// Full name of the service: `package.Service`.
        name: &'static str,
        /// Its handlers limit the size of requests.
        is_bounded: bool,
        make: Box<dyn FnOnce(&Streams) -> grpcio::Service + Send>,
    },
}

impl Default for Service {
    fn default() -> Service {
        Service::new()
    }
}

impl Service {
    /// Creates a service without methods.
    pub fn new() -> Service {
        Service {
            parts: Vec::new(),
            keeps_metadata: true,
            is_direct: false,
        }
    }

    /// Adds a server streaming method. `handler` returns the producers of the responses, as an
    /// iterator, one or several [`Job`]s, or [`Jobs`]: see [`IntoJobs`]. If it returns an error, the
    /// call ends with that status, and so it does if a producer returns one. `?` makes a [`Status`] of
    /// an I/O error and others.
    ///
    /// The worker that produces a response also encodes it. To encode responses itself, a handler
    /// returns jobs of [`Encoded`].
    pub fn server_streaming<Req, Resp, R>(
        self,
        method: &Method<Req, Resp>,
        handler: impl Fn(&CallContext, Req) -> Result<R, Status> + Send + Sync + 'static,
    ) -> Service
    where
        Req: Message,
        Resp: Message,
        R: IntoJobs,
        R::Message: IntoEncoded<Resp>,
    {
        self.method(method.name, false, move |call, request| {
            let jobs = handler(call, request)?.into_jobs();
            Ok(R::Message::encode_jobs(jobs))
        })
    }

    /// Adds a unary method. `handler` returns the response. If it returns an error, the call ends
    /// with that status.
    ///
    /// The call counts as a stream in limits and metrics: on the wire it is a stream of one
    /// message.
    pub fn unary<Req, Resp>(
        self,
        method: &Method<Req, Resp>,
        handler: impl Fn(&CallContext, Req) -> Result<Resp, Status> + Send + Sync + 'static,
    ) -> Service
    where
        Req: Message,
        Resp: Message,
    {
        self.method(method.name, true, move |call, request| {
            let response = Encoded::new(&handler(call, request)?);
            Ok(Job::now(std::iter::once(response)).into())
        })
    }

    /// Creates a service from grpcio's generated code or a [`ServiceBuilder`]. `make` gets the
    /// server's streams, so that its handlers can call [`Streams::serve`]. `name` is the full name
    /// of the service, `package.Service`, for health and reflection.
    ///
    /// The handlers run on poll threads, so they must not block. A call that does not go through
    /// [`Streams::serve`] counts in no limit and no metric, and a shutdown does not wait for it. If
    /// the server sends first in a method, set
    /// [`await_requests`](crate::server::ServerConfig::await_requests) to false.
    pub fn generated(
        name: &'static str,
        make: impl FnOnce(&Streams) -> grpcio::Service + Send + 'static,
    ) -> Service {
        Service::of_grpcio(name, false, make)
    }

    /// As [`Service::generated`]. `is_bounded` says that the handlers limit the size of requests, and
    /// set no flags of messages.
    pub(crate) fn of_grpcio(
        name: &'static str,
        is_bounded: bool,
        make: impl FnOnce(&Streams) -> grpcio::Service + Send + 'static,
    ) -> Service {
        let mut service = Service::new();
        let make = Box::new(make);
        service.parts.push(Part::Generated {
            name,
            is_bounded,
            make,
        });
        service
    }

    /// Saves memory: calls of this service keep neither the address of their peer nor their request
    /// headers. [`CallContext::peer`] and [`CallContext::headers`] then return `None`.
    pub fn without_metadata(mut self) -> Service {
        self.keeps_metadata = false;
        self
    }

    /// Saves time where no handler and no producer of this service ever blocks: calls begin on the
    /// poll thread, without a worker, as under `directExecutor` in gRPC for Java. See
    /// [`Streams::direct`] for the rest of the call.
    pub fn direct(mut self) -> Service {
        self.is_direct = true;
        self
    }

    fn method<Req: Message, Resp: Message>(
        mut self,
        name: &'static str,
        is_unary: bool,
        open: impl Fn(&CallContext, Req) -> Result<Jobs<Encoded<Resp>>, Status> + Send + Sync + 'static,
    ) -> Service {
        let open = Arc::new(open);
        let add = move |service: ServiceBuilder, streams: &Streams, max_request_bytes| {
            streams.register_method(name);
            let streams = streams.clone();
            let handler = move |ctx: RpcContext<'_>, request: Raw<Req>, sink| {
                let open = open.clone();
                streams.serve_encoded(&ctx, sink, move |call| {
                    open(call, request.decode(max_request_bytes)?)
                });
            };
            service.add_server_streaming_handler(&server_streaming::<Req, Resp>(name), handler)
        };
        self.parts.push(Part::Method {
            name,
            is_unary,
            add: Box::new(add),
        });
        self
    }

    /// Returns the full names of its methods, `/package.Service/Method`, except those of generated
    /// code.
    pub(super) fn methods(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.parts.iter().filter_map(|part| match part {
            Part::Method { name, .. } => Some(*name),
            Part::Generated { .. } => None,
        })
    }

    /// Returns the full names of its unary methods. Generated code has none:
    /// [`Streams::serve`] takes streaming methods only.
    pub(super) fn unary_methods(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.parts.iter().filter_map(|part| match part {
            Part::Method {
                name,
                is_unary: true,
                ..
            } => Some(*name),
            _ => None,
        })
    }

    /// Returns the full names of its gRPC services. A name can occur more than once.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.parts.iter().map(|part| match part {
            Part::Method { name, .. } => split_method(name).0,
            Part::Generated { name, .. } => name,
        })
    }

    /// Returns true if grpcio decodes some of its requests, so that only the C-core limits their
    /// size.
    pub(crate) fn is_generated(&self) -> bool {
        let generated = |part: &Part| {
            matches!(
                part,
                Part::Generated {
                    is_bounded: false,
                    ..
                }
            )
        };
        self.parts.iter().any(generated)
    }

    /// Builds grpcio's services, with calls that count among `streams`.
    pub(crate) fn build(self, streams: &Streams, max_request_bytes: usize) -> Vec<grpcio::Service> {
        let streams = match self.keeps_metadata {
            true => streams.clone(),
            false => streams.without_metadata(),
        };
        let streams = match self.is_direct {
            true => streams.direct(),
            false => streams,
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
