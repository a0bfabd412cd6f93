//! What the client's help and manual page say besides its flags. Words only.

use super::client::ClientArgs;
use super::manual::Manual;
use super::settings::Program;

impl Program for ClientArgs {
    const MANUAL: Manual = Manual {
        examples: &[
            ("client", "the tutorial: id 1 of localhost:50005"),
            (
                "client --id 1,2,5-9 --format json",
                "seven ids at the same time, one JSON object a line",
            ),
            (
                "client --id=-3--1 --take 2",
                "two responses each of -3, -2 and -1",
            ),
            (
                "client --addr unix:/run/fanstream.sock",
                "over a Unix-domain socket",
            ),
            (
                "client --wait-for-ready --connect-timeout 1m",
                "a server that is still to be started",
            ),
            (
                "client --timeout 30s --idle-timeout 5s",
                "give up after 30 s, or after 5 s of silence",
            ),
            (
                "client --retries 3 --quiet",
                "try again if it is busy; count, do not print",
            ),
            (
                "client --tls --ca ca.pem --token-file token",
                "over TLS, showing a token",
            ),
            (
                "client health protobuf.StreamService",
                "SERVING, or not; --watch goes on telling",
            ),
            ("client list", "the services that the server has"),
            (
                "client describe protobuf.Response",
                "the proto of a service, a method or a type",
            ),
        ],
        sections: &[
            (
                "Values",
                "DURATION is as in 250ms, 1s or 1m 30s; the ADDRESS of a server is HOST:PORT, \
                 [::1]:PORT or unix:PATH; IDS are whole numbers and ranges of them, as in 1,2,5-9.",
            ),
            (
                "Output",
                "Responses go to standard output as they come, failures to standard error: one \
                 line each, with the id and the status. Where standard error is a terminal and \
                 responses go to a file or nowhere, a line there counts them while they come. \
                 Colours are for terminals only, and NO_COLOR turns them off.",
            ),
        ],
        exit_codes: &[
            (
                "0",
                "complete (also when whoever reads the output has enough)",
            ),
            ("1", "the output cannot be written"),
            ("2", "wrong usage, or a file that cannot be used"),
            ("3", "cannot connect"),
            ("4", "timed out"),
            (
                "5",
                "ended with another status, or `health` says that it is not SERVING; of several \
                 failures that of the first id counts",
            ),
        ],
    };
}
