//! Shuts a server down from anywhere. It must not know how: that is in `drain.rs`.

use std::fmt;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use super::{Drained, Running, Server};

/// Shuts a [`Server`] down from any thread. Clones belong to the same server. A handle does not keep
/// the server running.
#[derive(Clone)]
pub struct ServerHandle(Weak<Running>);

impl Server {
    /// Returns a handle that shuts this server down. See [`Server::wait`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use fanstream::server::Server;
    ///
    /// let server = Server::builder().listen("127.0.0.1:0").start()?;
    /// let handle = server.handle();
    /// std::thread::spawn(move || handle.shutdown(Duration::from_secs(30)));
    /// println!("{} streams did not finish", server.wait().aborted);
    /// # Ok::<_, fanstream::server::StartError>(())
    /// ```
    pub fn handle(&self) -> ServerHandle {
        ServerHandle(Arc::downgrade(&self.running))
    }

    /// Blocks until a [`ServerHandle`] has shut the server down. Returns at once if one already has.
    pub fn wait(&self) -> Drained {
        self.running.progress.wait()
    }
}

impl ServerHandle {
    /// Starts to drain and stop the server, as [`Server::shutdown`] does, on a thread of its own. Does
    /// not block, so a handler may call it. [`Server::wait`] tells when the server has stopped.
    ///
    /// A further call shortens the grace period if its own ends earlier. Without effect once the server
    /// was shut down or dropped. A server that is dropped meanwhile is still shut down.
    pub fn shutdown(&self, grace: Duration) {
        let Some(running) = self.0.upgrade() else {
            return;
        };
        let drain = {
            let running = running.clone();
            move || {
                running.shut_down(grace);
            }
        };
        let thread = thread::Builder::new().name("fanstream-drain".into());
        let started = thread.spawn(drain);
        if started.is_err() {
            // Late is better than never.
            running.shut_down(grace);
        }
    }
}

impl fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerHandle(..)")
    }
}
