//! The services that tools expect of any gRPC server: [`Health`], [`Reflection`] and [`Channelz`].
//! Each makes a [`grpcio::Service`] to register beside your own. They must not know what else a server
//! serves.
//!
//! They run on the poll threads, as futures that never block; channelz, which takes longer, runs on
//! workers. A request of more than 4 KiB ends with RESOURCE_EXHAUSTED.
//!
//! ```
//! use std::sync::Arc;
//! use fanstream::proto::DESCRIPTORS; // in your crate: the set that protoc made of your protos
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
mod health;
mod reflection;
mod slots;

pub use channelz::Channelz;
pub use health::Health;
pub use reflection::{DescriptorError, Reflection};

pub use crate::proto::health::HealthCheckResponse_ServingStatus as ServingStatus;

use grpcio::{RpcStatus, RpcStatusCode};

/// The largest request, in bytes: names and numbers only.
pub(crate) const MAX_REQUEST: usize = 4096;

fn status(code: RpcStatusCode, message: impl Into<String>) -> RpcStatus {
    RpcStatus::with_message(code, message.into())
}
