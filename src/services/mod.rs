//! Standard gRPC services for tools: [`Health`], [`Reflection`] and [`Channelz`]. Each returns a
//! [`grpcio::Service`] to register with a server. They must not know the other services.
//!
//! They run on the poll threads, as futures that never block. Only channelz runs on worker threads,
//! because it takes longer. A request of more than 4 KiB ends with RESOURCE_EXHAUSTED.
//!
//! ```
//! use std::sync::Arc;
//! use fanstream::proto::DESCRIPTORS; // in your crate: the descriptors of your protos
//! use fanstream::services::{Health, Reflection, ServingStatus};
//! use grpcio::{Environment, ServerBuilder};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let health = Health::new();
//! health.set("protobuf.StreamService", ServingStatus::SERVING);
//! let [v1, v1alpha] = Reflection::of_set(DESCRIPTORS)?.services();
//! let server = ServerBuilder::new(Arc::new(Environment::new(1)))
//!     .register_service(health.service())
//!     .register_service(v1)
//!     .register_service(v1alpha)
//!     .build()?;
//! # drop(server);
//! # Ok(())
//! # }
//! ```

mod channelz;
mod extension;
mod health;
mod reflection;
mod slots;

pub use channelz::Channelz;
pub(crate) use extension::Services;
pub use extension::ServicesConfig;
pub use health::Health;
pub use reflection::{DescriptorError, Reflection};

pub use crate::proto::health::HealthCheckResponse_ServingStatus as ServingStatus;

use std::sync::OnceLock;

use grpcio::{RpcContext, RpcStatus, RpcStatusCode};

use crate::engine::{PeerPermit, Streams};

/// Maximum request size. Requests contain names and numbers only.
const MAX_REQUEST_BYTES: usize = 4096;

/// Per-peer limits of a service's calls. Without [`PeerLimits::set`] there are none.
#[derive(Clone, Debug, Default)]
struct PeerLimits(OnceLock<Streams>);

impl PeerLimits {
    fn set(&self, streams: Streams) {
        let _ = self.0.set(streams);
    }

    /// Admits a call. The call counts until the permit is dropped.
    fn admit(&self, ctx: &RpcContext<'_>) -> Result<Option<PeerPermit>, RpcStatus> {
        let streams = self.0.get();
        streams.map(|streams| streams.admit_peer(ctx)).transpose()
    }
}

fn status(code: RpcStatusCode, message: impl Into<String>) -> RpcStatus {
    RpcStatus::with_message(code, message.into())
}
