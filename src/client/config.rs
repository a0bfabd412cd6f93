//! Configuration of a client, and the settings of one call. It must not connect.

use std::time::Duration;

use grpcio::CallOption;

use super::connect::is_local;
use super::header::{metadata, Header};
use crate::address::Address;
use crate::engine::{Capacity, ReceiveTimeouts};
use crate::keepalive::Keepalive;
#[cfg(feature = "tls")]
use crate::security::{ClientTls, Token};

/// Configuration of a [`Client`](super::Client). A duration that is `None` is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// The address of the server.
    pub address: Address,
    /// The longest time to connect, retries included.
    pub connect_timeout: Option<Duration>,
    /// Wait for a server that refuses connections, instead of failing.
    pub wait_for_ready: bool,
    /// The longest time that a call may take, retries included. Connecting comes before and is not part
    /// of it, but may not take longer either.
    pub timeout: Option<Duration>,
    /// The longest time that a stream's caller waits for one response, retries included.
    pub timeouts: ReceiveTimeouts,
    /// The number of retries, of connecting and of each call: when the server cannot be reached or is
    /// too busy, and no response has arrived.
    pub retries: u32,
    /// The channel of each stream, between the poll thread and the caller.
    pub capacity: Capacity,
    /// Connect over TLS only. `None` connects in the clear.
    #[cfg(feature = "tls")]
    pub tls: Option<ClientTls>,
    /// Sent with every call, as the header `authorization`. It is never sent in the clear to another
    /// machine.
    #[cfg(feature = "tls")]
    pub token: Option<Token>,
    /// Sent with every call.
    pub headers: Vec<Header>,
    /// Pings the server while there are calls. When it does not answer, they end with UNAVAILABLE. The
    /// server has to permit such frequent pings.
    pub keepalive: Option<Keepalive>,
    /// Compress requests with gzip. The server has to support it. Responses may be compressed in any
    /// case.
    pub gzip: bool,
}

impl ClientConfig {
    /// A client of the server at `address`: in the clear; 10 s to connect; no other limit, no retries.
    pub fn new(address: Address) -> ClientConfig {
        ClientConfig {
            address,
            connect_timeout: Some(Duration::from_secs(10)),
            wait_for_ready: false,
            timeout: None,
            timeouts: ReceiveTimeouts::default(),
            retries: 0,
            capacity: Capacity::default(),
            #[cfg(feature = "tls")]
            tls: None,
            #[cfg(feature = "tls")]
            token: None,
            headers: Vec::new(),
            keepalive: None,
            gzip: false,
        }
    }

    /// True when others on the way could read what is sent.
    pub fn is_in_the_clear(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return false;
        }
        !is_local(&self.address)
    }

    /// True for a configuration with which [`Client::connect`](super::Client::connect) refuses to
    /// connect.
    pub fn shows_token_in_the_clear(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.token.is_some() {
            return self.is_in_the_clear();
        }
        false
    }

    pub(super) fn call_settings(&self) -> CallSettings {
        let headers = self.headers.iter().cloned();
        #[cfg(feature = "tls")]
        let headers = headers.chain(self.token.as_ref().map(Header::authorization));
        CallSettings {
            timeout: self.timeout,
            timeouts: self.timeouts,
            retries: self.retries,
            capacity: self.capacity,
            headers: headers.collect(),
            wait_for_ready: self.wait_for_ready,
        }
    }
}

/// The C-core adds up to this much to a timeout, when it rounds its clock and the deadline. From a second
/// up it then tells the server three digits, rounded up: without this, 2 s becomes 2.01 s.
const ROUNDED_UP: Duration = Duration::from_millis(2);

/// The settings of one call. [`Client::call_settings`](super::Client::call_settings) has those of the
/// client's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallSettings {
    /// As [`ClientConfig::timeout`].
    pub timeout: Option<Duration>,
    /// As [`ClientConfig::timeouts`].
    pub timeouts: ReceiveTimeouts,
    /// As [`ClientConfig::retries`].
    pub retries: u32,
    /// As [`ClientConfig::capacity`].
    pub capacity: Capacity,
    /// The headers of the call. Those of the client's configuration are in it too, the token among them.
    pub headers: Vec<Header>,
    /// As [`ClientConfig::wait_for_ready`].
    pub wait_for_ready: bool,
}

impl CallSettings {
    /// For an attempt that may take as long as is `left`.
    pub(super) fn options(&self, left: Option<Duration>) -> CallOption {
        let mut options = CallOption::default().wait_for_ready(self.wait_for_ready);
        if let Some(left) = left {
            let is_exact = left < Duration::from_secs(1);
            options = options.timeout(if is_exact { left } else { left - ROUNDED_UP });
        }
        if !self.headers.is_empty() {
            options = options.headers(metadata(&self.headers));
        }
        options
    }
}
