//! Selects the built-in services of a server ([`crate::services`]) and sets the health of all
//! services. It must not know their implementation.

use grpcio::Service;

use crate::engine::{Streams, Workers};
use crate::proto::DESCRIPTORS;
use crate::services::{Channelz, DescriptorError, Health, Reflection, ServingStatus};

const HEALTH: &str = "grpc.health.v1.Health";
const REFLECTION: [&str; 2] = [
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];
const CHANNELZ: &str = "grpc.channelz.v1.Channelz";

/// Built-in services of a server. Health is always included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServicesConfig {
    /// Describes the services and their messages to every caller.
    pub reflection: bool,
    /// Shows the connections and addresses of all clients to every caller.
    pub channelz: bool,
}

impl Default for ServicesConfig {
    /// Reflection, but not channelz, which reveals the addresses of clients.
    fn default() -> ServicesConfig {
        ServicesConfig {
            reflection: true,
            channelz: false,
        }
    }
}

impl ServicesConfig {
    /// Returns the built-in services, and a health in which they and `names` are SERVING.
    /// Reflection describes the services found in `descriptors`.
    pub(super) fn start(
        &self,
        mut names: Vec<&'static str>,
        descriptors: Vec<Vec<u8>>,
        workers: &Workers,
        streams: &Streams,
    ) -> Result<(Health, Vec<Service>), DescriptorError> {
        let health = Health::new();
        health.limit_by(streams);
        names.push(HEALTH);
        let mut services = vec![health.service()];
        if self.channelz {
            names.push(CHANNELZ);
            services.push(Channelz::new(workers.clone()).limited_by(streams).service());
        }
        if self.reflection {
            names.extend(REFLECTION);
            let own = std::iter::once(DESCRIPTORS);
            let reflection = Reflection::of_sets(descriptors.iter().map(Vec::as_slice).chain(own))?;
            services.extend(reflection.only(&names).limited_by(streams).services());
        }
        for name in names {
            health.set(name, ServingStatus::SERVING);
        }
        Ok((health, services))
    }
}
