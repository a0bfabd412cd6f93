//! The client's help and manual page beside its flags. Text only.

use super::flags::ClientArgs;
use crate::cli::common::{Manual, Program};

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
                "wait for a server that is not started yet",
            ),
            (
                "client --timeout 30s --idle-timeout 5s",
                "at most 30 s, and 5 s without a response",
            ),
            (
                "client --retries 3 --quiet",
                "retry if the server is busy; print a summary",
            ),
            (
                "client --id 7 --format text --reconnect",
                "the lines of file 7; goes on when the server is back",
            ),
            (
                "client --tls --ca ca.pem --token-file token",
                "over TLS, with a token",
            ),
            (
                "client health protobuf.StreamService",
                "the health of a service; --watch prints changes",
            ),
            ("client list", "the services of the server"),
            (
                "client describe protobuf.Response",
                "the proto of a service, a method or a type",
            ),
        ],
        sections: &[
            (
                "Values",
                "A DURATION is written as 250ms, 1s or 1m 30s; an ADDRESS as HOST:PORT, [::1]:PORT or \
                 unix:PATH; IDS as whole numbers and ranges, such as 1,2,5-9.",
            ),
            (
                "Output",
                "Responses go to standard output as they arrive. Failures go to standard error, one line \
                 each, with the id and the status. If standard error is a terminal and responses are \
                 not shown on it, it has a counter of responses. Colours are for terminals only; \
                 NO_COLOR turns them off.",
            ),
        ],
        exit_codes: &[
            (
                "0",
                "complete (also if the reader closes the output)",
            ),
            ("1", "the output cannot be written"),
            ("2", "wrong usage, or a file that cannot be used"),
            ("3", "cannot connect"),
            ("4", "timed out"),
            (
                "5",
                "a call ended with another status, or `health` found another status than SERVING; the \
                 failure of the first id in their order decides",
            ),
        ],
    };
}
