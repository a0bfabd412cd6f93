//! `client health`, `client list` and `client describe`: what they print, and their exit codes.

use crate::common::process::{Ended, Process};
use crate::common::server::TestServer;
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use rstest::rstest;

#[track_caller]
fn failed(ended: &Ended, code: i32, why: &str) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    let said = ended.errors.join("\n");
    assert!(said.contains(why), "{said}");
}

#[rstest]
fn health_list_and_describe_print_the_services(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let server = TestServer::start(transport, &[]);
    let run = |arguments: &[&str]| server.client(arguments).end();
    for healthy in [&["health"][..], &["health", "protobuf.StreamService"]] {
        let ended = run(healthy);
        assert_eq!(
            (ended.code, ended.output),
            (Some(0), vec!["SERVING".into()])
        );
    }
    let unknown = run(&["health", "other"]);
    failed(
        &unknown,
        5,
        "client: NOT_FOUND: there is no service `other`",
    );
    let listed = run(&["list"]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert!(listed.output.contains(&"protobuf.StreamService".into()));
    let described = run(&["describe", "protobuf.Response"]);
    assert_eq!(described.code, Some(0), "{described:?}");
    let wanted = [
        "// protobuf.Response, of stream.proto",
        "message Response {",
        "  string result = 1;",
        "}",
    ];
    assert_eq!(described.output, wanted);
    let all = run(&["describe"]).output;
    assert!(all.contains(&"service StreamService {".into()), "{all:?}");
    assert!(all.contains(&"service Health {".into()), "{all:?}");
    failed(&run(&["describe", "no.Such"]), 5, "NOT_FOUND");
}

#[rstest]
fn health_watch_prints_the_drain(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = TestServer::start(transport, &[]);
    let watch = server.client(&["health", "--watch"]);
    assert_eq!(watch.line(), "SERVING");
    server.process.signal("-TERM");
    let ended = watch.end();
    assert_eq!(ended.output, ["NOT_SERVING"]);
    failed(&ended, 5, "client: UNAVAILABLE: the server is draining");
}

#[test]
fn connection_flags_work_before_and_after_the_command() {
    let server = TestServer::start(Clear, &[]);
    let client = |flags: &[&str]| Process::start(env!("CARGO_BIN_EXE_client"), flags).end();
    let address = server.address.as_str();
    for flags in [["--addr", address, "health"], ["health", "--addr", address]] {
        assert_eq!(client(&flags).output, ["SERVING"], "{flags:?}");
    }
    let late = client(&["health", "--watch", "--timeout", "2s", "--addr", address]);
    failed(&late, 4, "DEADLINE_EXCEEDED: not complete within 2s");
    let token = ["list", "--token-file", "/no/such", "--addr", address];
    failed(&client(&token), 2, "--token-file");
}

#[test]
fn flags_of_a_fetch_are_wrong_usage() {
    let client = |flags: &[&str]| Process::start(env!("CARGO_BIN_EXE_client"), flags).end();
    for (flags, named) in [
        (&["--id", "2", "health"][..], "--id is for fetching"),
        (&["--take", "2", "list"], "--take is for fetching"),
        (&["--quiet", "describe"], "--quiet is for fetching"),
        (&["health", "--id", "2"], "--id"),
        (&["helth"], "helth"),
    ] {
        failed(&client(flags), 2, named);
    }
}

#[test]
fn a_missing_server_is_a_connection_failure() {
    let directory = tempfile::tempdir().unwrap();
    let address = format!("unix:{}/nobody", directory.path().display());
    for command in ["health", "list", "describe"] {
        let flags = [command, "--addr", &address];
        let ended = Process::start(env!("CARGO_BIN_EXE_client"), flags).end();
        failed(&ended, 3, "client: UNAVAILABLE: cannot connect");
    }
}
