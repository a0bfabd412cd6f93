//! A blocking client for streaming and unary methods of any service. One connection serves calls
//! from any number of threads. It must not print, nor know flags or exit codes.

mod builder;
mod channels;
mod config;
mod connect;
mod connect_error;
mod connection;
mod header;
#[cfg(feature = "services")]
mod health;
mod proxy;
mod race;
#[cfg(feature = "services")]
mod reflection;
mod response_stream;
mod resume_error;
mod resuming;
mod retry;
mod threads;
mod unary;

pub use builder::ClientBuilder;
pub use config::{CallSettings, ClientConfig};
pub use connect_error::ConnectError;
pub use header::{Header, HeaderError};
#[cfg(feature = "services")]
pub use reflection::Protos;
pub use response_stream::ResponseStream;
pub use resume_error::ResumeError;
pub use resuming::{OnGap, ResumePolicy, ResumingStream};
pub use threads::ClientThreads;
pub use unary::UnaryResponse;

use std::fmt;
use std::sync::Arc;

use grpcio::{Channel, Method};

use crate::address::{Address, AddressError};
use crate::engine::{frames, Payload, ReceiveError};
pub use crate::names::status_name;
use connection::Connection;

/// A client of one server. Clones share its connection.
///
/// If the connection breaks, the next call reconnects. While the server is gone, calls end with
/// UNAVAILABLE, unless [`ClientBuilder::wait_for_ready`] or [`ClientBuilder::retries`] has them wait.
/// They succeed again within a second after it listens again.
///
/// What blocks blocks the calling thread, whatever runs on it: an executor of `futures` or of tokio
/// does nothing else meanwhile, and takes no harm.
#[derive(Clone)]
pub struct Client {
    settings: Arc<CallSettings>,
    /// Keeps the poll thread running.
    connection: Arc<Connection>,
    /// Streaming calls receive [frames](crate::engine::frames).
    receives_frames: bool,
}

impl Client {
    /// Builds a client of the server at this address: an [`Address`] or a text such as
    /// `"localhost:50005"`. If the text is not an address, [`ClientBuilder::connect`] returns an
    /// error.
    pub fn builder(address: impl TryInto<Address, Error: Into<AddressError>>) -> ClientBuilder {
        ClientBuilder::new(address)
    }

    /// Connects with the defaults: `Client::builder(address).connect()`. Blocks for at most 10 s.
    ///
    /// # Errors
    /// Those of [`ClientBuilder::connect`].
    pub fn connect(
        address: impl TryInto<Address, Error: Into<AddressError>>,
    ) -> Result<Client, ConnectError> {
        Client::builder(address).connect()
    }

    fn new(config: &ClientConfig, connection: Connection) -> Client {
        Client {
            settings: Arc::new(config.call_settings()),
            connection: Arc::new(connection),
            // The flag that asks for them also turns off the compression of the request.
            receives_frames: frames::are_supported() && !config.gzip,
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
    /// has passed. [`ReceiveTimeouts`](crate::engine::ReceiveTimeouts) do not apply.
    ///
    /// # Errors
    /// The status of the last attempt; UNIMPLEMENTED if a faulty server sends no response or several;
    /// or an error if the response cannot be decoded.
    pub fn unary<Req, Resp: Payload>(
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
    pub fn unary_with<Req, Resp: Payload>(
        &self,
        method: &Method<Req, Resp>,
        request: Req,
        settings: CallSettings,
    ) -> Result<UnaryResponse<Resp>, ReceiveError> {
        unary::call(self, method, &request, settings)
    }

    /// Returns the channel, for calls by grpcio's generated clients. It has the configuration's
    /// TLS and limits of messages; timeouts, retries, headers and the token are those of the calls.
    /// A call must not set `force_no_compress`: that flag asks for responses in a form that only
    /// this library reads.
    pub fn channel(&self) -> &Channel {
        self.connection.core().channel()
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
