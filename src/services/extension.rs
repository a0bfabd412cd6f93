//! The services for tools, as an extension of a server: it selects them, and sets the health of all
//! services. It must not know their implementation.

use std::ffi::CStr;
use std::time::Duration;

use super::{Channelz, Health, Reflection, ServingStatus, MAX_REQUEST_BYTES};
use crate::extension::{BoxError, Extension, Service, Setup};
use crate::proto::DESCRIPTORS;

const HEALTH: &str = "grpc.health.v1.Health";
const REFLECTION: [&str; 2] = [
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];
const CHANNELZ: &str = "grpc.channelz.v1.Channelz";

/// The C-core counts every message for channelz: 4 to 6 % of a tiny one.
const CHANNELZ_ARGUMENT: &CStr = c"grpc.enable_channelz";

/// Time for Watch calls to receive NOT_SERVING. Those of slow readers end with the other calls.
const HEALTH_TIMEOUT: Duration = Duration::from_millis(200);

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

/// The selected services, and the health of all services: they are SERVING from the start.
pub(crate) struct Services {
    config: ServicesConfig,
    health: Health,
}

impl Services {
    pub(crate) fn new(config: ServicesConfig) -> Services {
        let health = Health::new();
        Services { config, health }
    }

    pub(crate) fn health(&self) -> &Health {
        &self.health
    }
}

impl Extension for Services {
    fn name(&self) -> &str {
        "services"
    }

    fn configure(&mut self, setup: &mut Setup) -> Result<(), BoxError> {
        setup.allow_requests(MAX_REQUEST_BYTES);
        let streams = setup.streams().clone();
        let health = self.health.clone();
        health.limit_by(&streams);
        setup.add_service(Service::of_grpcio(HEALTH, true, move |_| health.service()));
        if self.config.channelz {
            setup.channel_argument(CHANNELZ_ARGUMENT, 1);
            let channelz = Channelz::new(setup.workers().clone()).limited_by(&streams);
            setup.add_service(Service::of_grpcio(CHANNELZ, true, move |_| {
                channelz.service()
            }));
        }
        if self.config.reflection {
            let mut names = setup.service_names();
            names.extend(REFLECTION);
            let own = std::iter::once(DESCRIPTORS);
            let sets = setup.descriptors.iter().map(Vec::as_slice).chain(own);
            let services = Reflection::of_sets(sets)?.only(&names).limited_by(&streams);
            for (name, service) in REFLECTION.into_iter().zip(services.services()) {
                setup.add_service(Service::of_grpcio(name, true, move |_| service));
            }
        }
        for name in setup.service_names() {
            self.health.set(name, ServingStatus::SERVING);
        }
        Ok(())
    }

    fn draining(&self) {
        self.health.shut_down(HEALTH_TIMEOUT);
    }
}
