//! The channel of a client, and the race of addresses before the first call of one that connects
//! lazily. It must not know calls.
//!
//! The C-core connects by itself, but it waits long for an address that swallows packets. So the first
//! call to a name has its addresses race, on a thread that ends with the race. The channel is made
//! again if the race tells that its first address is dead.

use std::sync::{Arc, OnceLock};
use std::thread;

use futures::channel::oneshot::{self, Receiver};
use futures::future::Shared;
use futures::FutureExt;
use grpcio::Channel;

use super::channels::Channels;
use super::ConnectError;

/// Resolves when the race is over, with `Err`.
pub(super) type Race = Shared<Receiver<()>>;

pub(super) struct Connection {
    /// The channel that was made first.
    core: grpcio::Client,
    /// Instead of it after a race.
    patient: OnceLock<grpcio::Client>,
    /// For a name, if the first call connects.
    lazy: Option<Lazy>,
}

struct Lazy {
    channels: Channels,
    /// Set by the first call.
    race: OnceLock<Race>,
}

impl Connection {
    pub(super) fn new(channel: Channel) -> Connection {
        Connection {
            core: grpcio::Client::new(channel),
            patient: OnceLock::new(),
            lazy: None,
        }
    }

    /// Makes the channel, which does not connect yet.
    ///
    /// # Errors
    /// The files of TLS are unusable.
    pub(super) fn lazy(channels: Channels) -> Result<Connection, ConnectError> {
        let mut connection = Connection::new(channels.make(None)?);
        if channels.has_race() {
            let race = OnceLock::new();
            connection.lazy = Some(Lazy { channels, race });
        }
        Ok(connection)
    }

    /// The channel for the next call.
    pub(super) fn core(&self) -> &grpcio::Client {
        self.patient.get().unwrap_or(&self.core)
    }

    /// The race that the next call should wait for. Starts it before the first call. Never blocks.
    pub(super) fn race(self: &Arc<Connection>) -> Option<Race> {
        let lazy = self.lazy.as_ref()?;
        let race = lazy.race.get_or_init(|| self.start());
        race.peek().is_none().then(|| race.clone())
    }

    fn start(self: &Arc<Connection>) -> Race {
        let (ends, race) = oneshot::channel();
        let connection = self.clone();
        // Without a thread there is no race: the closure is dropped, which ends it.
        let _ = thread::Builder::new()
            .name("client-race".into())
            .spawn(move || {
                connection.run();
                drop(ends);
            });
        race.shared()
    }

    fn run(&self) {
        let Some(Lazy { channels, .. }) = &self.lazy else {
            return;
        };
        let Some(patience) = channels.patience() else {
            return;
        };
        // The same files were usable when the client was made.
        if let Ok(channel) = channels.make(Some(patience)) {
            let _ = self.patient.set(grpcio::Client::new(channel));
        }
    }
}
