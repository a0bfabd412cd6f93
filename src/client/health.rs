//! Asks a server for its health. Each call is made once. It must not know reflection.

use super::{CallSettings, Client, ResponseStream};
use crate::engine::ReceiveError;
use crate::proto::health::{HealthCheckRequest, HealthCheckResponse};
use crate::proto::health_grpc::{METHOD_HEALTH_CHECK, METHOD_HEALTH_WATCH};
use crate::services::ServingStatus;

impl Client {
    /// Whether `service` is served; `""` is the whole server.
    ///
    /// # Errors
    /// The status of the call: NOT_FOUND for a service that the server does not know.
    pub fn health(&self, service: &str) -> Result<ServingStatus, ReceiveError> {
        let settings = self.once();
        let response = self.unary_with(&METHOD_HEALTH_CHECK, of(service), settings)?;
        Ok(response.message.status)
    }

    /// The health of `service`, now and at each change, for as long as the server keeps the call open.
    pub fn watch_health(&self, service: &str) -> ResponseStream<HealthCheckResponse> {
        self.call_with(&METHOD_HEALTH_WATCH, of(service), self.once())
    }

    fn once(&self) -> CallSettings {
        CallSettings {
            retries: 0,
            ..self.call_settings()
        }
    }
}

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.into(),
        ..HealthCheckRequest::default()
    }
}
