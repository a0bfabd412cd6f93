//! Which of the services of [`crate::standard`] the server has beside its own, and what they say of
//! it.

use grpcio::Service;

use crate::engine::Workers;
use crate::proto::DESCRIPTORS;
use crate::standard::{Channelz, DescriptorError, Health, Reflection, ServingStatus};

/// The tutorial's service.
const STREAM: &str = "protobuf.StreamService";
const HEALTH: &str = "grpc.health.v1.Health";
const REFLECTION: [&str; 2] = [
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];
const CHANNELZ: &str = "grpc.channelz.v1.Channelz";

/// The services for tools that a server has. Health is always one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandardServices {
    /// Tells whoever may call what services and messages there are.
    pub reflection: bool,
    /// Tells whoever may call what connections there are, and their addresses.
    pub channelz: bool,
}

impl Default for StandardServices {
    /// Reflection, since the proto is public; no channelz, since clients are not.
    fn default() -> StandardServices {
        StandardServices {
            reflection: true,
            channelz: false,
        }
    }
}

impl StandardServices {
    /// The services, and the health that is SERVING for each of them.
    pub(super) fn start(
        &self,
        workers: &Workers,
    ) -> Result<(Health, Vec<Service>), DescriptorError> {
        let health = Health::new();
        let mut names = vec![STREAM, HEALTH];
        let mut services = vec![health.service()];
        if self.channelz {
            names.push(CHANNELZ);
            services.push(Channelz::new(workers.clone()).service());
        }
        if self.reflection {
            names.extend(REFLECTION);
            services.extend(Reflection::of_set(DESCRIPTORS)?.only(&names).services());
        }
        for name in names {
            health.set(name, ServingStatus::SERVING);
        }
        Ok((health, services))
    }
}
