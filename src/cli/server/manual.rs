//! The server's help and manual page beside its flags. Text only.

use super::flags::ServerArgs;
use crate::cli::common::{Manual, Program};

impl Program for ServerArgs {
    const MANUAL: Manual = Manual {
        examples: &[
            (
                "server",
                "the tutorial: five responses, a second apart, on localhost:50005",
            ),
            (
                "server --listen 127.0.0.1:0",
                "a free port, printed as `listening on HOST:PORT`",
            ),
            (
                "server --listen unix:/run/fanstream.sock",
                "a Unix-domain socket",
            ),
            (
                "server --responses 200000 --step 0s --log-level warn",
                "as fast as the client reads",
            ),
            (
                "server --size 64KiB --responses 1000 --step 10ms",
                "large payloads",
            ),
            (
                "server --source lines:/var/log/app --resume-key key",
                "the lines of /var/log/app/ID; clients go on after a restart",
            ),
            (
                "server --listen :50005 --tls-cert server.pem --tls-key server.key",
                "TLS, on all addresses",
            ),
            (
                "server --config server.toml --check-config",
                "check the file, and show the settings",
            ),
        ],
        sections: &[
            (
                "Values",
                "A DURATION is written as 250ms, 1s or 1m 30s; a SIZE in bytes, as 100, 64KiB or 1MB; an \
                 ADDRESS as HOST:PORT, [::1]:PORT, :PORT (all addresses) or unix:PATH.",
            ),
            (
                "Signals",
                "SIGTERM and SIGINT drain: no new calls, open streams may finish within --grace, \
                 the rest end with UNAVAILABLE. A second one ends the server at once. SIGHUP \
                 reloads the TLS and token files that have changed.",
            ),
        ],
        exit_codes: &[
            ("0", "drained"),
            (
                "1",
                "drained, but connections were still open 5 s after the last stream had ended",
            ),
            ("2", "wrong usage, or a file that cannot be used"),
            ("3", "cannot listen"),
            ("128 + N", "ended at once by a second signal N"),
        ],
    };
}
