//! Reloads a server's files on demand. It must not know signals.

use super::Server;

impl Server {
    /// Reads the TLS files and the token file now, and uses what changed: for new connections, and
    /// for new calls. Never blocks. A line in the log says what was reloaded, or that nothing
    /// changed.
    ///
    /// The server reloads changed files by itself too, within a second.
    pub fn reload(&self) {
        #[cfg(feature = "tls")]
        self.running.watcher.look_now();
        #[cfg(not(feature = "tls"))]
        tracing::info!("nothing to reload: this server is built without TLS and tokens");
    }
}
