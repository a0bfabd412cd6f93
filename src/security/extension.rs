//! TLS and tokens as an extension of a server: it loads the files, and reloads them. It must not know
//! their contents.

use std::path::PathBuf;
use std::sync::Arc;

use super::files::FileError;
use super::server_tls::{ServerIdentity, ServerTls};
use super::token::TokenSet;
use super::token_checker::check;
use super::watch::{Group, Watcher};
use crate::extension::{BoxError, Extension, Setup};

/// The loaded TLS and token files, and the threads that reload them.
pub(crate) struct Security {
    identity: Option<ServerIdentity>,
    tokens: Option<TokenSet>,
    watcher: Watcher,
}

impl Security {
    /// Reads and validates the files. Blocks while they are read.
    ///
    /// # Errors
    /// If a file is unusable.
    pub(crate) fn load(
        tls: Option<&ServerTls>,
        token_file: Option<&PathBuf>,
    ) -> Result<Security, FileError> {
        Ok(Security {
            identity: tls.map(ServerIdentity::load).transpose()?,
            tokens: token_file.map(|file| TokenSet::load(file)).transpose()?,
            watcher: Watcher::default(),
        })
    }

    /// The groups of files to watch.
    fn watched(&self) -> Vec<Arc<dyn Group>> {
        let of_tls = self.identity.iter().flat_map(ServerIdentity::watched);
        let of_tokens = self.tokens.iter().flat_map(TokenSet::watched);
        of_tls.chain(of_tokens).collect()
    }
}

impl Extension for Security {
    fn name(&self) -> &str {
        "security"
    }

    /// One looks at each group of files, and one more asks them.
    fn threads(&self) -> usize {
        match self.watched().len() {
            0 => 0,
            groups => groups + 1,
        }
    }

    fn configure(&mut self, setup: &mut Setup) -> Result<(), BoxError> {
        if let Some(identity) = self.identity.clone() {
            setup.credentials(move || identity.credentials());
        }
        if let Some(tokens) = self.tokens.clone() {
            setup.check("token", move |ctx| check(&tokens, ctx.request_headers()));
        }
        self.watcher = Watcher::start(self.watched())
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(())
    }

    fn reload(&self) {
        self.watcher.look_now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_files_there_are_no_threads() {
        assert_eq!(Security::load(None, None).unwrap().threads(), 0);
    }

    #[test]
    fn each_group_of_files_has_a_thread_and_one_more_asks_them() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("tokens");
        std::fs::write(&file, "secret\n").unwrap();
        assert_eq!(Security::load(None, Some(&file)).unwrap().threads(), 2);
    }
}
