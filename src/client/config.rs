//! Configuration of a client, and the settings of one call. It must not connect.

use std::time::Duration;

use grpcio::CallOption;

use super::header::{metadata, Header};
use crate::address::Address;
use crate::engine::{Capacity, ReceiveTimeouts};
use crate::keepalive::Keepalive;
use crate::message_size::DEFAULT_MESSAGE_BYTES;
#[cfg(feature = "tls")]
use crate::security::{ClientTls, Token};

/// Configuration of a [`Client`](super::Client). A duration of `None` means no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// The address of the server.
    pub address: Address,
    /// Limit for connecting, including retries.
    pub connect_timeout: Option<Duration>,
    /// Waits while the server refuses connections, instead of failing.
    pub wait_for_ready: bool,
    /// Limit for each call, including retries. Connecting is not part of a call, but must not take
    /// longer either.
    pub timeout: Option<Duration>,
    /// Limits for the wait for a response of a stream, including retries and the pauses before them.
    pub timeouts: ReceiveTimeouts,
    /// Maximum retries of connecting, and of each call. A call is retried if, before its first
    /// response, the server ends it with UNAVAILABLE or RESOURCE_EXHAUSTED, or its stream or
    /// connection breaks. A call that the server has not processed, because it refused the stream
    /// or its connection was just closing in an orderly way, is retried at once and is not counted.
    pub retries: u32,
    /// Maximum size of a response in bytes, also once it is decompressed. A larger one ends its call
    /// with RESOURCE_EXHAUSTED. Without the patches in scripts/ccore there is no limit.
    pub max_response_bytes: usize,
    /// Capacity of each stream's channel between poll thread and caller.
    pub capacity: Capacity,
    /// Configuration of TLS. `None` connects unencrypted.
    #[cfg(feature = "tls")]
    pub tls: Option<ClientTls>,
    /// Token of every call, sent in the header `authorization`. It is never sent unencrypted to
    /// another machine.
    #[cfg(feature = "tls")]
    pub token: Option<Token>,
    /// Headers of every call.
    pub headers: Vec<Header>,
    /// Pings the server while calls are open. If the server does not respond, they end with
    /// UNAVAILABLE. The server must permit the interval.
    pub keepalive: Option<Keepalive>,
    /// Compresses requests with gzip, which the server must support. Compressed responses are
    /// always accepted.
    pub gzip: bool,
}

impl ClientConfig {
    /// Returns the defaults for the server at `address`: no TLS, 10 s to connect, responses of up to
    /// 4 MiB, no other limit, no retries.
    pub fn new(address: Address) -> ClientConfig {
        ClientConfig {
            address,
            connect_timeout: Some(Duration::from_secs(10)),
            wait_for_ready: false,
            timeout: None,
            timeouts: ReceiveTimeouts::default(),
            retries: 0,
            max_response_bytes: DEFAULT_MESSAGE_BYTES,
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

    /// Returns true if calls leave this machine unencrypted.
    pub fn is_in_the_clear(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return false;
        }
        !self.address.is_local()
    }

    /// Returns true if a token would leave this machine unencrypted.
    /// [`Client::connect`](super::Client::connect) then returns an error.
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

/// The C-core adds up to this much to a timeout by rounding. From 1 s on, it sends three digits to
/// the server, rounded up: without this correction, 2 s becomes 2.01 s.
const TIMEOUT_ROUNDING: Duration = Duration::from_millis(2);

/// Settings of one call. [`Client::call_settings`](super::Client::call_settings) returns those of
/// the client's configuration. By default no limits, no retries and no headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallSettings {
    /// As [`ClientConfig::timeout`].
    pub timeout: Option<Duration>,
    /// As [`ClientConfig::timeouts`].
    pub timeouts: ReceiveTimeouts,
    /// As [`ClientConfig::retries`].
    pub retries: u32,
    /// As [`ClientConfig::capacity`].
    pub capacity: Capacity,
    /// Headers of the call. They include those of the client's configuration, and the token.
    pub headers: Vec<Header>,
    /// As [`ClientConfig::wait_for_ready`].
    pub wait_for_ready: bool,
}

impl CallSettings {
    /// Returns grpcio's options for an attempt with a timeout of `left`, after so many others.
    pub(super) fn options(&self, left: Option<Duration>, attempts: u32) -> CallOption {
        let mut options = CallOption::default().wait_for_ready(self.wait_for_ready);
        if let Some(left) = left {
            let is_exact = left < Duration::from_secs(1);
            options = options.timeout(if is_exact {
                left
            } else {
                left - TIMEOUT_ROUNDING
            });
        }
        if !self.headers.is_empty() || attempts > 0 {
            options = options.headers(metadata(&self.headers, attempts));
        }
        options
    }
}
