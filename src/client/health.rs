//! Health checks of a server, without retries. It must not know reflection.

use super::{CallSettings, Client, ResponseStream};
use crate::engine::ReceiveError;
use crate::proto::health::{HealthCheckRequest, HealthCheckResponse};
use crate::proto::health_grpc::{METHOD_HEALTH_CHECK, METHOD_HEALTH_WATCH};
use crate::services::ServingStatus;

impl Client {
    /// Returns the health of `service`, or of the whole server for `""`. Blocks as
    /// [`Client::unary`] does.
    ///
    /// # Errors
    /// The status of the call: NOT_FOUND if the server does not know the service.
    pub fn health(&self, service: impl Into<String>) -> Result<ServingStatus, ReceiveError> {
        let settings = self.without_retries();
        let response = self.unary_with(&METHOD_HEALTH_CHECK, request(service), settings)?;
        Ok(response.message.status)
    }

    /// Streams the health of `service`: the current status, then each change, until the server ends
    /// the call. Returns at once; iterating blocks.
    pub fn watch_health(&self, service: impl Into<String>) -> ResponseStream<HealthCheckResponse> {
        self.call_with(
            &METHOD_HEALTH_WATCH,
            request(service),
            self.without_retries(),
        )
    }

    fn without_retries(&self) -> CallSettings {
        CallSettings {
            retries: 0,
            ..self.call_settings()
        }
    }
}

fn request(service: impl Into<String>) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.into(),
        ..HealthCheckRequest::default()
    }
}
