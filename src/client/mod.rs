//! A blocking client for streaming and unary methods of any service. One connection serves calls
//! from any number of threads. It must not print, nor know flags or exit codes.

mod config;
mod connect;
mod connect_error;
mod header;
#[cfg(feature = "services")]
mod health;
mod proxy;
mod race;
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

use grpcio::{Channel, Method};

use crate::engine::{frames, Payload, ReceiveError};
pub use crate::names::status_name;

/// A client of one server. Clones share its connection. If the connection breaks, the next call
/// reconnects.
#[derive(Clone)]
pub struct Client {
    settings: Arc<CallSettings>,
    /// Owns the poll thread.
    core: grpcio::Client,
    /// Streaming calls receive [frames](crate::engine::frames).
    receives_frames: bool,
}

impl Client {
    /// Connects. Blocks until the connection is ready, the last retry has failed, or a timeout of
    /// `config` has passed.
    ///
    /// # Errors
    /// [`ConnectError`] if there is no connection.
    pub fn connect(config: &ClientConfig) -> Result<Client, ConnectError> {
        let channel = connect::connect(config)?;
        Ok(Client {
            settings: Arc::new(config.call_settings()),
            core: grpcio::Client::new(channel),
            // The flag that asks for them also turns off the compression of the request.
            receives_frames: frames::are_supported() && !config.gzip,
        })
    }

    /// Creates a client on a channel of [`channel_builder`], for calls with `settings`. Clients on
    /// several channels can share poll threads, the [`Environment`](grpcio::Environment) of their
    /// builders. Never blocks: the first call connects.
    ///
    /// The channel must not come from another builder. Requests of streaming calls are not
    /// compressed.
    pub fn on_channel(channel: Channel, settings: CallSettings) -> Client {
        Client {
            settings: Arc::new(settings),
            core: grpcio::Client::new(channel),
            receives_frames: frames::are_supported(),
        }
    }

    /// Starts a server streaming call with the settings of the client's configuration. Returns at
    /// once; iterating the result blocks, and dropping it cancels the call.
    ///
    /// `method` is a constant of generated code. See
    /// [`ServerBuilder`](crate::server::ServerBuilder) for an example.
    pub fn call<Req, Resp: Payload>(
        &self,
        method: &Method<Req, Resp>,
        request: Req,
    ) -> ResponseStream<Resp> {
        self.call_with(method, request, self.call_settings())
    }

    /// Like [`Client::call`], with other settings.
    pub fn call_with<Req, Resp: Payload>(
        &self,
        method: &Method<Req, Resp>,
        request: Req,
        settings: CallSettings,
    ) -> ResponseStream<Resp> {
        ResponseStream::start(self.clone(), method, &request, settings)
    }

    /// Makes a unary call. Blocks until the response has arrived, the call has failed, or `timeout`
    /// has passed; until `timeout` also if a faulty server sends several responses.
    /// [`ReceiveTimeouts`](crate::engine::ReceiveTimeouts) do not apply.
    ///
    /// # Errors
    /// The status of the last attempt, or an error if the response cannot be decoded.
    pub fn unary<Req, Resp>(
        &self,
        method: &Method<Req, Resp>,
        request: Req,
    ) -> Result<Resp, ReceiveError> {
        let response = self.unary_with(method, request, self.call_settings())?;
        Ok(response.message)
    }

    /// Like [`Client::unary`], with other settings; also returns the metadata.
    ///
    /// # Errors
    /// Those of [`Client::unary`].
    pub fn unary_with<Req, Resp>(
        &self,
        method: &Method<Req, Resp>,
        request: Req,
        settings: CallSettings,
    ) -> Result<UnaryResponse<Resp>, ReceiveError> {
        unary::call(self, method, &request, &settings)
    }

    /// Returns the settings of the client's configuration, to be modified for one call.
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
