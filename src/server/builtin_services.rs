//! Selects the services of [`crate::services`] that the server offers beside its own, and sets
//! their health. It must not know how they work.

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

/// The services for tools that a server offers. Health is always one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServicesConfig {
    /// Shows every caller the services and their messages.
    pub reflection: bool,
    /// Shows every caller the connections and the addresses of all clients.
    pub channelz: bool,
}

impl Default for ServicesConfig {
    /// Reflection, as a client that may call a method may know it; no channelz, which shows clients'
    /// addresses.
    fn default() -> ServicesConfig {
        ServicesConfig {
            reflection: true,
            channelz: false,
        }
    }
}

impl ServicesConfig {
    /// Returns the services, and the health in which each of them and of `names` is SERVING.
    /// Reflection shows those that `descriptors` describe.
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
