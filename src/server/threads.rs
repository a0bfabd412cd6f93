//! Checks before the start that the system grants a server's threads. It must not know what they do.

use std::io;
use std::thread;

use super::ServerConfig;
use crate::c_core::check_threads;

/// Checks that the system grants the threads of a server with this configuration.
///
/// # Errors
/// If it does not: how many are needed, and how many there are.
pub(super) fn check(config: &ServerConfig) -> io::Result<()> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    check_threads(number(config, processors))
}

/// The number of threads on so many processors, without those of the C-core.
fn number(config: &ServerConfig, processors: usize) -> usize {
    let poll = processors;
    let clock_and_workers = 1 + processors.min(config.workers.max_threads.max(1));
    poll + clock_and_workers + watching(config) + extensions(config)
}

/// One looks at each group of files, and one more asks them.
#[cfg(feature = "tls")]
fn watching(config: &ServerConfig) -> usize {
    let tls = config.tls.as_ref();
    let authorities = tls.is_some_and(|tls| tls.client_authorities.is_some());
    let groups = [tls.is_some(), authorities, config.token_file.is_some()];
    match groups.into_iter().map(usize::from).sum() {
        0 => 0,
        groups => groups + 1,
    }
}

#[cfg(not(feature = "tls"))]
fn watching(_: &ServerConfig) -> usize {
    0
}

/// One accepts connections for metrics and one answers; one exports spans.
fn extensions(config: &ServerConfig) -> usize {
    let _ = config; // unused without features
    let threads = 0;
    #[cfg(feature = "metrics")]
    let threads = threads + 2 * usize::from(config.metrics.is_some());
    #[cfg(feature = "otlp")]
    let threads = threads + usize::from(config.collector.is_some());
    threads
}

#[cfg(all(test, feature = "cli"))]
mod tests {
    use super::*;
    use crate::security::ServerTls;

    #[test]
    fn each_part_has_its_threads() {
        let mut config = ServerConfig::default();
        assert_eq!(number(&config, 2), 2 + 3);
        config.workers.max_threads = 1;
        assert_eq!(number(&config, 2), 2 + 2);
        config.token_file = Some("tokens".into());
        assert_eq!(number(&config, 2), 4 + 2);
        config.tls = Some(ServerTls::new("certificate", "key"));
        config.metrics = Some("localhost:0".parse().unwrap());
        assert_eq!(number(&config, 2), 4 + 3 + 2);
    }
}
