//! The blocking client of `StreamService`: connect, then fetch ids over the one connection, from
//! any number of threads; and what any server can be asked, its health and its protos. It must not print, and knows nothing of flags or exit codes.

mod connect;
mod fetch;
mod header;
mod reason;
mod retry;
mod standard;

pub use connect::{channel_builder, ConnectError};
pub use fetch::Fetch;
pub use header::{Header, HeaderError};
pub use standard::Protos;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use grpcio::{CallOption, Metadata};

use crate::address::Address;
use crate::engine::{receive, Capacity, ReceiveTimeouts, Responses};
use crate::keepalive::Keepalive;
use crate::proto::stream::{Request, Response};
use crate::proto::stream_grpc::StreamServiceClient;
use crate::security::{ClientTls, Token};
pub use crate::status::status_name;

/// What a [`Client`] is made with. Every duration that is `None` is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// Where the server is.
    pub address: Address,
    /// The most that connecting may take, with its retries.
    pub connect_timeout: Option<Duration>,
    /// Wait for a server that refuses connections, instead of failing.
    pub wait_for_ready: bool,
    /// The most that one fetch may take, with its retries. Connecting, which comes before, is not
    /// part of it, but may not take longer either.
    pub timeout: Option<Duration>,
    /// The most that a fetch may wait for one response, with its retries.
    pub timeouts: ReceiveTimeouts,
    /// How often connecting, and how often each fetch, is tried again: when the server cannot be
    /// reached or is too busy, and there was no response yet.
    pub retries: u32,
    /// The channel between the poll thread and whoever reads the responses.
    pub capacity: Capacity,
    /// Connect over TLS only. `None` connects in the clear.
    pub tls: Option<ClientTls>,
    /// Shown with every call, as the header `authorization`. It is never sent in the clear beyond
    /// this machine.
    pub token: Option<Token>,
    /// Sent with every call.
    pub headers: Vec<Header>,
    /// Find out, while there are calls, whether the server is still there; when it is not, they end
    /// with UNAVAILABLE. The server has to permit it that often.
    pub keepalive: Option<Keepalive>,
}

impl Default for ClientConfig {
    /// The tutorial's server, in the clear; 10 s to connect; no other limit, no retries.
    fn default() -> ClientConfig {
        ClientConfig {
            address: Address::tutorial(),
            connect_timeout: Some(Duration::from_secs(10)),
            wait_for_ready: false,
            timeout: None,
            timeouts: ReceiveTimeouts::default(),
            retries: 0,
            capacity: Capacity::default(),
            tls: None,
            token: None,
            headers: Vec::new(),
            keepalive: None,
        }
    }
}

impl ClientConfig {
    /// Whether others could read on the way what is sent.
    pub fn is_in_the_clear(&self) -> bool {
        self.tls.is_none() && !connect::is_local(&self.address)
    }

    /// A configuration with which [`Client::connect`] refuses to connect.
    pub fn shows_token_in_the_clear(&self) -> bool {
        self.token.is_some() && self.is_in_the_clear()
    }
}

/// A connection to a server. When it breaks, the next call makes it anew.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    /// Of every call; `None` when there are none.
    headers: Option<Arc<Metadata>>,
    stub: StreamServiceClient,
    /// Has the poll thread on which the calls of `stub` are received.
    poller: grpcio::Client,
}

impl Client {
    /// Connects; blocks until that is done, has failed, or has taken as long as it may.
    ///
    /// # Errors
    /// When there is no connection in the end.
    pub fn connect(config: &ClientConfig) -> Result<Client, ConnectError> {
        let channel = connect::connect(config)?;
        Ok(Client {
            config: Arc::new(config.clone()),
            headers: headers(config).map(Arc::new),
            stub: StreamServiceClient::new(channel.clone()),
            poller: grpcio::Client::new(channel),
        })
    }

    /// Asks for the responses to `id`. Returns at once; the result blocks when it is iterated.
    pub fn fetch(&self, id: i32) -> Fetch {
        Fetch::start(self.clone(), id)
    }

    /// One attempt at a fetch, of which `left` is left.
    fn call(
        &self,
        request: &Request,
        left: Option<Duration>,
        timeouts: ReceiveTimeouts,
    ) -> grpcio::Result<Responses<Response>> {
        let stream = self.stub.fetch_response_opt(request, self.options(left))?;
        let capacity = self.config.capacity;
        Ok(receive(&self.poller, stream, capacity, timeouts))
    }

    /// Of a call, of which `left` is left.
    fn options(&self, left: Option<Duration>) -> CallOption {
        let mut options = CallOption::default().wait_for_ready(self.config.wait_for_ready);
        if let Some(left) = left {
            options = options.timeout(left);
        }
        if let Some(headers) = &self.headers {
            options = options.headers(Metadata::clone(headers));
        }
        options
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

fn headers(config: &ClientConfig) -> Option<Metadata> {
    let authorization = config.token.as_ref().map(Header::authorization);
    let all = || config.headers.iter().chain(&authorization);
    all().next()?;
    Some(header::metadata(all()))
}
