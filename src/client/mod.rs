//! A blocking client for the methods of any service: connect once, then call from any number of
//! threads. It must not print, and knows nothing of flags or exit codes.

mod config;
mod connect;
mod connect_error;
mod header;
#[cfg(feature = "services")]
mod health;
#[cfg(feature = "services")]
mod reflection;
mod response_stream;
mod retry;
mod unary;

pub use config::{CallSettings, ClientConfig};
pub use connect::channel_builder;
pub use connect_error::ConnectError;
pub use header::{Header, HeaderError};
#[cfg(feature = "services")]
pub use reflection::Protos;
pub use response_stream::ResponseStream;
pub use unary::UnaryResponse;

use std::fmt;
use std::sync::Arc;

use grpcio::Method;

use crate::engine::{Payload, ReceiveError};
pub use crate::names::status_name;

/// A connection to a server. Clones share it. After it broke, the next call connects again.
#[derive(Clone)]
pub struct Client {
    settings: Arc<CallSettings>,
    /// Has the poll thread that receives the calls.
    core: grpcio::Client,
}

impl Client {
    /// Connects; blocks until that is done, has failed, or has taken as long as it may.
    ///
    /// # Errors
    /// When there is no connection in the end.
    pub fn connect(config: &ClientConfig) -> Result<Client, ConnectError> {
        let channel = connect::connect(config)?;
        Ok(Client {
            settings: Arc::new(config.call_settings()),
            core: grpcio::Client::new(channel),
        })
    }

    /// Makes a server streaming call. Returns at once; the result blocks when it is iterated. Dropping
    /// it cancels the call.
    ///
    /// `method` is a constant of generated code. The call has the settings of the client's
    /// configuration. See [`ServerBuilder`](crate::server::ServerBuilder) for an example.
    pub fn call<Req, Resp: Payload>(
        &self,
        method: &Method<Req, Resp>,
        request: Req,
    ) -> ResponseStream<Resp> {
        self.call_with(method, request, self.call_settings())
    }

    /// As [`Client::call`], with settings of its own.
    pub fn call_with<Req, Resp: Payload>(
        &self,
        method: &Method<Req, Resp>,
        request: Req,
        settings: CallSettings,
    ) -> ResponseStream<Resp> {
        ResponseStream::start(self.clone(), method, &request, settings)
    }

    /// Makes a unary call. Blocks until the response is there, or the call has failed; until `timeout`
    /// when a faulty server sends several responses.
    /// [`ReceiveTimeouts`](crate::engine::ReceiveTimeouts) do not apply: `timeout` does.
    ///
    /// # Errors
    /// The status of the last attempt; or a response that cannot be decoded.
    pub fn unary<Req, Resp>(
        &self,
        method: &Method<Req, Resp>,
        request: Req,
    ) -> Result<Resp, ReceiveError> {
        let response = self.unary_with(method, request, self.call_settings())?;
        Ok(response.message)
    }

    /// As [`Client::unary`], with settings of its own; returns the metadata too.
    ///
    /// # Errors
    /// As [`Client::unary`].
    pub fn unary_with<Req, Resp>(
        &self,
        method: &Method<Req, Resp>,
        request: Req,
        settings: CallSettings,
    ) -> Result<UnaryResponse<Resp>, ReceiveError> {
        unary::call(self, method, &request, &settings)
    }

    /// The settings of the client's configuration, to be changed for one call.
    pub fn call_settings(&self) -> CallSettings {
        CallSettings::clone(&self.settings)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
