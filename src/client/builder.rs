//! Builds a client from its configuration. It must not make calls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use grpcio::ChannelBuilder;

use super::channels::{Adjust, Channels};
use super::connection::Connection;
use super::{connect, Client, ClientConfig, ClientThreads, ConnectError, Header};
use crate::address::{Address, AddressError};
use crate::engine::{Capacity, ReceiveTimeouts};
use crate::keepalive::Keepalive;
#[cfg(feature = "tls")]
use crate::security::{ClientTls, Token};

/// Builds a [`Client`].
///
/// ```no_run
/// use std::time::Duration;
/// use fanstream::client::{Client, ClientThreads};
/// use fanstream::proto::stream::Request;
/// use fanstream::tutorial::FETCH_RESPONSE; // generated code has such a constant for each method
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::builder("localhost:50005")
///     .timeout(Duration::from_secs(30))
///     .retries(3)
///     .connect()?;
/// for response in client.call(&FETCH_RESPONSE, Request::default()) {
///     println!("{}", response?.result); // blocks until it arrives
/// }
///
/// // Many servers, few threads, and no connection before the first call:
/// let threads = ClientThreads::new(2)?;
/// let clients = ["a.example:443", "b.example:443"].map(|address| {
///     Client::builder(address).threads(&threads).connect_lazy()
/// });
/// # Ok(())
/// # }
/// ```
#[must_use]
#[derive(Clone)]
pub struct ClientBuilder {
    /// The error of a text that is not an address is that of connecting.
    config: Result<ClientConfig, AddressError>,
    threads: Option<ClientThreads>,
    adjust: Adjust,
}

impl From<ClientConfig> for ClientBuilder {
    fn from(config: ClientConfig) -> ClientBuilder {
        ClientBuilder {
            config: Ok(config),
            threads: None,
            adjust: Arc::new(|channel| channel),
        }
    }
}

impl ClientBuilder {
    pub(super) fn new(address: impl TryInto<Address, Error: Into<AddressError>>) -> ClientBuilder {
        match address.try_into() {
            Ok(address) => ClientConfig::new(address).into(),
            Err(error) => ClientBuilder {
                config: Err(error.into()),
                ..ClientConfig::new(Address::tutorial()).into()
            },
        }
    }

    fn set(mut self, change: impl FnOnce(&mut ClientConfig)) -> ClientBuilder {
        if let Ok(config) = &mut self.config {
            change(config);
        }
        self
    }

    /// Sets the limit for [`ClientBuilder::connect`], including retries. The default is 10 s.
    pub fn connect_timeout(self, timeout: impl Into<Option<Duration>>) -> ClientBuilder {
        self.set(|config| config.connect_timeout = timeout.into())
    }

    /// Waits while the server refuses connections, instead of failing. The default is false.
    pub fn wait_for_ready(self, wait: bool) -> ClientBuilder {
        self.set(|config| config.wait_for_ready = wait)
    }

    /// Sets the limit for each call, including retries. The default is none.
    pub fn timeout(self, timeout: impl Into<Option<Duration>>) -> ClientBuilder {
        self.set(|config| config.timeout = timeout.into())
    }

    /// Sets the limits for the wait for a response of a stream. The default is none.
    pub fn timeouts(self, timeouts: ReceiveTimeouts) -> ClientBuilder {
        self.set(|config| config.timeouts = timeouts)
    }

    /// Sets the maximum retries of connecting, and of each call: see [`ClientConfig::retries`]. The
    /// default is 0.
    pub fn retries(self, retries: u32) -> ClientBuilder {
        self.set(|config| config.retries = retries)
    }

    /// Sets the maximum size of a response in bytes: see [`ClientConfig::max_response_bytes`]. The
    /// default is 4 MiB.
    pub fn max_response_bytes(self, bytes: usize) -> ClientBuilder {
        self.set(|config| config.max_response_bytes = bytes)
    }

    /// Sets the capacity of each stream's channel between poll thread and caller.
    pub fn capacity(self, capacity: Capacity) -> ClientBuilder {
        self.set(|config| config.capacity = capacity)
    }

    /// Connects over TLS.
    #[cfg(feature = "tls")]
    pub fn tls(self, tls: ClientTls) -> ClientBuilder {
        self.set(|config| config.tls = Some(tls))
    }

    /// Sends this token with every call. It is never sent unencrypted to another machine.
    #[cfg(feature = "tls")]
    pub fn token(self, token: Token) -> ClientBuilder {
        self.set(|config| config.token = Some(token))
    }

    /// Adds a header to every call.
    pub fn header(self, header: Header) -> ClientBuilder {
        self.set(|config| config.headers.push(header))
    }

    /// Pings the server while calls are open: see [`ClientConfig::keepalive`].
    pub fn keepalive(self, keepalive: Keepalive) -> ClientBuilder {
        self.set(|config| config.keepalive = Some(keepalive))
    }

    /// Compresses requests with gzip, which the server must support. The default is false.
    pub fn gzip(self, gzip: bool) -> ClientBuilder {
        self.set(|config| config.gzip = gzip)
    }

    /// Uses these poll threads. By default a client has a thread of its own.
    pub fn threads(mut self, threads: &ClientThreads) -> ClientBuilder {
        self.threads = Some(threads.clone());
        self
    }

    /// Sets arguments of the C-core's channel that no other function sets. `adjust` is called for
    /// each new channel.
    pub fn channel_args(
        mut self,
        adjust: impl Fn(ChannelBuilder) -> ChannelBuilder + Send + Sync + 'static,
    ) -> ClientBuilder {
        self.adjust = Arc::new(adjust);
        self
    }

    /// Connects. Blocks until the connection is ready, the last retry has failed, or a timeout has
    /// passed.
    ///
    /// # Errors
    /// [`ConnectError`] if there is no connection.
    pub fn connect(self) -> Result<Client, ConnectError> {
        let channels = self.channels()?;
        let channel = connect::connect(&channels)?;
        Ok(Client::new(&channels.config, Connection::new(channel)))
    }

    /// Creates a client whose first call connects, within the timeouts of that call. If it cannot
    /// connect, the call ends with UNAVAILABLE, and the next call tries again;
    /// [`ClientBuilder::retries`] and [`ClientBuilder::wait_for_ready`] apply, and
    /// [`ClientBuilder::connect_timeout`] does not. Never blocks, except for the read of files of
    /// authorities that environment variables name.
    ///
    /// # Errors
    /// [`ConnectError`] if the configuration is unusable, or no thread can be started.
    pub fn connect_lazy(self) -> Result<Client, ConnectError> {
        let channels = self.channels()?;
        let config = channels.config.clone();
        Ok(Client::new(&config, Connection::lazy(channels)?))
    }

    fn channels(self) -> Result<Channels, ConnectError> {
        Channels::new(self.config?, self.threads, self.adjust)
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("config", &self.config)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_function_sets_its_field() {
        let header = || Header::new("a", "b").unwrap();
        let timeouts = ReceiveTimeouts {
            first: Some(SECOND),
            idle: None,
        };
        let keepalive = Keepalive {
            interval: SECOND,
            timeout: SECOND,
        };
        let built = Client::builder("localhost:1")
            .connect_timeout(None)
            .wait_for_ready(true)
            .timeout(SECOND)
            .timeouts(timeouts)
            .retries(2)
            .max_response_bytes(3)
            .capacity(Capacity::messages(4))
            .header(header())
            .header(header())
            .keepalive(keepalive)
            .gzip(true);
        let expected = ClientConfig {
            connect_timeout: None,
            wait_for_ready: true,
            timeout: Some(SECOND),
            timeouts,
            retries: 2,
            max_response_bytes: 3,
            capacity: Capacity::messages(4),
            headers: vec![header(), header()],
            keepalive: Some(keepalive),
            gzip: true,
            ..ClientConfig::new("localhost:1".parse().unwrap())
        };
        assert_eq!(built.config, Ok(expected));
    }

    #[cfg(feature = "tls")]
    #[test]
    fn each_function_of_security_sets_its_field() {
        let token: Token = "secret".parse().unwrap();
        let built = Client::builder("localhost:1")
            .tls(ClientTls::default())
            .token(token.clone());
        let expected = ClientConfig {
            tls: Some(ClientTls::default()),
            token: Some(token),
            ..ClientConfig::new("localhost:1".parse().unwrap())
        };
        assert_eq!(built.config, Ok(expected));
    }

    #[test]
    fn a_text_that_is_not_an_address_is_an_error_of_connecting() {
        for bad in [
            Client::builder("localhost").connect(),
            Client::builder("localhost".to_owned())
                .retries(9)
                .connect_lazy(),
        ] {
            let error = bad.unwrap_err();
            assert!(matches!(error, ConnectError::Address(_)), "{error:?}");
            assert!(error.to_string().contains("has no port"), "{error}");
        }
    }
}
