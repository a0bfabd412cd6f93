//! Colours, the counter and a hostile server's text on a pseudo-terminal, made by `script`, and
//! elsewhere.

use crate::common::process::{Ended, Process};
use crate::common::server::TestServer;
use crate::common::stub::Stub;
use crate::common::transport::Transport::Clear;
use grpcio::RpcStatusCode;

const RED: &str = "\u{1b}[1m\u{1b}[31m";
const ESCAPE: char = '\u{1b}';

/// Runs a shell command on a terminal, with environment variables in the syntax of `env`, and
/// returns the bytes sent to the terminal.
fn on_terminal(environment: &[&str], command: &str) -> String {
    let plain = [
        "-u",
        "NO_COLOR",
        "-u",
        "CLICOLOR_FORCE",
        "-u",
        "CLICOLOR",
        "-u",
        "CI",
        "TERM=xterm",
    ];
    let script = ["script", "-qec", command, "/dev/null"];
    let ended = Process::start("env", [&plain, environment, &script].concat()).end();
    ended.output.join("\n")
}

fn client(flags: &str) -> String {
    format!("{} {flags}", env!("CARGO_BIN_EXE_client"))
}

/// Nothing listens on this address.
const UNUSED_ADDRESS: &str = "--addr 127.0.0.1:1";

fn slow() -> TestServer {
    TestServer::start(
        Clear,
        &["--responses", "3", "--step", "300ms", "--log-level", "warn"],
    )
}

#[test]
fn failures_are_red_on_a_terminal() {
    let shown = on_terminal(&[], &client(UNUSED_ADDRESS));
    assert!(shown.contains(&format!("{RED}client:")), "{shown:?}");
    assert!(shown.contains(" UNAVAILABLE: "), "{shown:?}");
}

#[test]
fn colours_can_be_turned_off() {
    for environment in ["NO_COLOR=1", "TERM=dumb"] {
        let shown = on_terminal(&[environment], &client(UNUSED_ADDRESS));
        assert!(shown.starts_with("client: UNAVAILABLE: "), "{shown:?}");
        assert!(!shown.contains(ESCAPE), "{shown:?}");
    }
    let shown = on_terminal(
        &["TERM=dumb"],
        &client(&format!("{UNUSED_ADDRESS} --quiet")),
    );
    assert!(!shown.contains(ESCAPE) && !shown.contains('·'), "{shown:?}");
}

#[test]
fn colours_can_be_forced() {
    let arguments = [
        "CLICOLOR_FORCE=1",
        env!("CARGO_BIN_EXE_client"),
        "--addr",
        "127.0.0.1:1",
    ];
    let ended = Process::start("env", arguments).end();
    assert!(
        ended.errors[0].starts_with(&format!("{RED}client:")),
        "{ended:?}"
    );
}

#[test]
fn the_tutorials_lines_have_no_colours_on_a_terminal() {
    let server = slow();
    let shown = on_terminal(&[], &client(&format!("--addr {}", server.address)));
    let lines: Vec<_> = shown
        .lines()
        .map(|line| line.trim_end_matches('\r'))
        .collect();
    let texts: Vec<_> = lines
        .iter()
        .map(|line| &line["2020/11/10 22:26:11 ".len()..])
        .collect();
    let wanted = [
        "Resp received: Request #0 For Id:1",
        "Resp received: Request #1 For Id:1",
        "Resp received: Request #2 For Id:1",
        "finished",
    ];
    assert_eq!(texts, wanted);
}

#[test]
fn a_counter_is_shown_when_responses_are_not() {
    let server = slow();
    for rest in ["--quiet", ">/dev/null"] {
        let command = client(&format!("--addr {} --id 1-3 {rest}", server.address));
        let shown = on_terminal(&[], &command);
        assert!(
            shown.contains("6 responses · 114 B · 0 of 3 ids"),
            "{shown:?}"
        );
        // The counter is erased at the end; only the summary, if any, remains.
        let left = shown.rsplit("\u{1b}[2K").next().unwrap();
        let end = if rest == "--quiet" {
            "9 responses, 171 bytes"
        } else {
            ""
        };
        assert!(left.starts_with(end) && !left.contains('·'), "{shown:?}");
    }
}

#[test]
fn a_pipe_gets_no_counter() {
    let server = slow();
    let shown = on_terminal(&[], &client(&format!("--addr {} | cat", server.address)));
    assert!(!shown.contains('·') && !shown.contains(ESCAPE), "{shown:?}");
    assert_eq!(shown.lines().count(), 4);
}

#[test]
fn a_failure_is_on_its_own_line() {
    let shown = on_terminal(&[], &client(&format!("{UNUSED_ADDRESS} --quiet")));
    let line = shown
        .lines()
        .find(|line| line.contains("UNAVAILABLE"))
        .unwrap();
    let own = line.rsplit("\u{1b}[2K").next().unwrap();
    assert!(own.starts_with(&format!("{RED}client:")), "{shown:?}");
}

#[test]
fn a_file_gets_no_colours_and_no_counter() {
    let server = slow();
    let quiet = server.client(&["--quiet", "--id", "1-2"]).end();
    assert_eq!(quiet.errors, [""; 0]);
    assert_eq!(quiet.output.len(), 1);
    let failed = Process::start(env!("CARGO_BIN_EXE_client"), ["--addr", "127.0.0.1:1"]).end();
    let Ended { errors, .. } = failed;
    assert_eq!(
        errors,
        ["client: UNAVAILABLE: cannot connect to 127.0.0.1:1: connection refused"]
    );
}

#[test]
fn log_levels_are_coloured_only_on_a_terminal() {
    let server = env!("CARGO_BIN_EXE_server");
    let command = format!("{server} --listen 192.0.2.1:1");
    let shown = on_terminal(&[], &command);
    assert!(shown.contains(&format!("{RED}error:")), "{shown:?}");
    let plain = on_terminal(&["NO_COLOR=1"], &command);
    assert!(
        plain.contains(" error: cannot listen") && !plain.contains(ESCAPE),
        "{plain:?}"
    );
    let ended = Process::start(server, ["--listen", "192.0.2.1:1"]).end();
    assert!(!ended.errors[0].contains(ESCAPE), "{ended:?}");
}

/// It clears the screen, in two ways, moves the cursor, and overrides the direction of text.
const HOSTILE: &str = "\u{1b}[2J\u{9b}2J\rforged\u{202e}end";

/// Sends [`HOSTILE`] in a response, then in its status.
fn hostile() -> Stub {
    Stub::start(Clear, |mut call| {
        call.respond(HOSTILE);
        call.fail(RpcStatusCode::INTERNAL, HOSTILE);
    })
}

#[test]
fn a_server_does_not_drive_the_terminal() {
    let stub = hostile();
    for (format, response) in [
        ("text", r"\u{1b}[2J\u{9b}2J\rforged\u{202e}end"),
        (
            "tutorial",
            r"Resp received: \u{1b}[2J\u{9b}2J\rforged\u{202e}end",
        ),
        ("json", r#""result":"\u001b[2J\u009b2J\rforged\u202eend"}"#),
    ] {
        let flags = format!("--addr {} --format {format}", stub.address);
        let shown = on_terminal(&["NO_COLOR=1"], &client(&flags));
        let failure = r"client: id 1: INTERNAL: \u{1b}[2J\u{9b}2J\rforged\u{202e}end";
        assert!(shown.contains(response), "{shown:?}");
        assert!(shown.contains(failure), "{shown:?}");
        assert!(!shown.contains([ESCAPE, '\u{9b}', '\u{202e}']), "{shown:?}");
    }
}

#[test]
fn a_pipe_gets_a_servers_text_unchanged() {
    let stub = hostile();
    let flags = ["--addr", &stub.address, "--format", "text"];
    let Ended { output, errors, .. } = Process::start(env!("CARGO_BIN_EXE_client"), flags).end();
    assert_eq!(output, [HOSTILE]);
    // A failure is one line anywhere.
    let failure = r"client: id 1: INTERNAL: \u{1b}[2J\u{9b}2J\rforged\u{202e}end";
    assert_eq!(errors, [failure]);
}
