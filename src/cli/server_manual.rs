//! The parts of the server's help and manual page that are not flags. Text only.

use super::manual::Manual;
use super::server::ServerArgs;
use super::settings::Program;

impl Program for ServerArgs {
    const MANUAL: Manual = Manual {
        examples: &[
            (
                "server",
                "the tutorial: five responses, a second apart, on localhost:50005",
            ),
            (
                "server --listen 127.0.0.1:0",
                "any free port, printed as `listening on HOST:PORT`",
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
                "server --listen :50005 --tls-cert server.pem --tls-key server.key",
                "TLS, for everybody",
            ),
            (
                "server --config server.toml --check-config",
                "is the file right, and what is in force?",
            ),
        ],
        sections: &[
            (
                "Values",
                "DURATION is as in 250ms, 1s or 1m 30s; SIZE is in bytes, as in 100, 64KiB or 1MB; \
                 the ADDRESS of a server is HOST:PORT, [::1]:PORT, :PORT (all addresses) or unix:PATH.",
            ),
            (
                "Signals",
                "SIGTERM and SIGINT drain: no new calls, open streams may finish within --grace, \
                 the rest end with UNAVAILABLE. A second signal ends the server at once.",
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
