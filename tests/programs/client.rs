//! The `client` binary: usage, connecting, deadlines, retries, ids and exit codes. The servers are
//! stubs, so the tests do not depend on the library's server.

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use crate::common::process::{Ended, Process, TEST_TIMEOUT};
use crate::common::stub::{Call, Stub};
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use crossbeam_channel::bounded;
use grpcio::RpcStatusCode;
use rstest::rstest;

fn start(stub: &Stub, arguments: &[&str]) -> Process {
    let arguments = arguments.iter().map(|argument| argument.to_string());
    let all = stub.client_flags().into_iter().chain(arguments);
    Process::start(env!("CARGO_BIN_EXE_client"), all)
}

fn run(stub: &Stub, arguments: &[&str]) -> Ended {
    start(stub, arguments).end()
}

/// Runs the client with an address and these arguments.
fn run_at(address: &str, arguments: &[&str]) -> Ended {
    let address = ["--addr", address];
    let all = address.iter().chain(arguments);
    Process::start(env!("CARGO_BIN_EXE_client"), all).end()
}

#[track_caller]
fn assert_fails(ended: &Ended, code: i32, error: &str) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    assert_eq!(ended.errors, [error], "{ended:?}");
}

#[track_caller]
fn assert_complete(ended: &Ended, output: &[&str]) {
    assert_eq!(ended.errors, [""; 0], "{ended:?}");
    assert_eq!(ended.output, output, "{ended:?}");
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// Answers with two responses.
fn two(mut call: Call) {
    call.respond(&format!("a {}", call.id));
    call.respond(&format!("b {}", call.id));
    call.end();
}

/// Nothing listens on this port.
const UNUSED_ADDRESS: &str = "127.0.0.1:1";

// --- Usage -------------------------------------------------------------------------------------

#[test]
fn wrong_usage_names_the_flag_and_its_value() {
    for (flag, value) in [
        ("--timeout", "soon"),
        ("--id", "2147483648"),
        ("--id", "1,x"),
        ("--take", "0"),
        ("--addr", "localhost"),
        ("--format", "xml"),
    ] {
        let ended = Process::start(env!("CARGO_BIN_EXE_client"), [format!("{flag}={value}")]).end();
        assert_eq!(ended.code, Some(2), "{ended:?}");
        let said = ended.errors.join("\n");
        assert!(said.contains(flag) && said.contains(value), "{said}");
        assert!(ended.output.is_empty());
    }
}

#[test]
fn help_has_examples_exit_codes_and_defaults() {
    let ended = Process::start(env!("CARGO_BIN_EXE_client"), ["--help"]).end();
    let help = ended.output.join("\n");
    assert_eq!(ended.code, Some(0));
    for part in [
        "Examples:",
        "Exit codes:",
        "--idle-timeout",
        "localhost:50005",
    ] {
        assert!(help.contains(part), "{help}");
    }
}

// --- Connecting --------------------------------------------------------------------------------

#[test]
fn a_refused_connection() {
    let ended = run_at(UNUSED_ADDRESS, &[]);
    let error =
        format!("client: UNAVAILABLE: cannot connect to {UNUSED_ADDRESS}: connection refused");
    assert_fails(&ended, 3, &error);
    assert!(ended.output.is_empty());
}

#[test]
fn a_refused_connection_with_retries_is_still_refused() {
    let ended = run_at(
        UNUSED_ADDRESS,
        &["--retries", "2", "--quiet", "--format", "json"],
    );
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert_eq!(ended.errors.len(), 1);
    assert!(ended.output[0].starts_with(r#"{"responses":0,"bytes":0,"first_ms":null,"#));
    assert!(ended.output[0].ends_with(r#","status":"UNAVAILABLE"}"#));
}

#[test]
fn a_host_that_does_not_exist() {
    let ended = run_at("nobody.invalid:50005", &[]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let start = "client: UNAVAILABLE: cannot connect to nobody.invalid:50005";
    assert!(ended.errors[0].starts_with(start), "{ended:?}");
}

#[test]
fn a_listener_that_does_not_answer_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let ended = run_at(&address, &["--connect-timeout", "200ms"]);
    let error = format!(
        "client: UNAVAILABLE: cannot connect to {address} within 200ms: it does not answer"
    );
    assert_fails(&ended, 3, &error);
    let ended = run_at(&address, &["--timeout", "200ms"]);
    let error = format!(
        "client: DEADLINE_EXCEEDED: no connection to {address} within the 200ms of the call: \
         it does not answer"
    );
    assert_fails(&ended, 4, &error);
}

/// Starts the server after the client's first connection attempt has failed.
fn run_before_the_server_starts(transport: Transport, arguments: &[&str]) -> Ended {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let address = format!("unix:{}", path.display());
    let listener = UnixListener::bind(&path).unwrap();
    let setup = transport.set_up();
    let arguments = arguments.iter().map(|argument| argument.to_string());
    let flags = ["--addr".to_string(), address.clone()].into_iter();
    let flags = flags.chain(setup.client_flags()).chain(arguments);
    let client = Process::start(env!("CARGO_BIN_EXE_client"), flags);
    drop(listener.accept().unwrap());
    drop(listener);
    fs::remove_file(&path).unwrap();
    let _stub = Stub::start_at(setup, &address, two);
    client.end()
}

#[rstest]
fn wait_for_ready_waits_until_the_server_starts(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let ended = run_before_the_server_starts(transport, &["--wait-for-ready", "--format", "text"]);
    assert_complete(&ended, &["a 1", "b 1"]);
}

#[rstest]
fn retries_reach_a_server_that_starts_later(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let ended = run_before_the_server_starts(transport, &["--retries", "9", "--format", "text"]);
    assert_complete(&ended, &["a 1", "b 1"]);
}

// --- How a call ends ---------------------------------------------------------------------------

#[rstest]
fn a_status_is_printed_with_its_message(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let stub = Stub::start(transport, |call| {
        call.fail(RpcStatusCode::NOT_FOUND, "no such id")
    });
    let ended = run(&stub, &["--id", "7"]);
    assert_fails(&ended, 5, "client: id 7: NOT_FOUND: no such id");
    assert!(ended.output.is_empty(), "not finished: {ended:?}");
}

#[rstest]
fn line_breaks_in_a_status_message_are_shown(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let stub = Stub::start(transport, |call| {
        call.fail(RpcStatusCode::ABORTED, "one\nclient: two")
    });
    let ended = run(&stub, &[]);
    assert_fails(&ended, 5, r"client: id 1: ABORTED: one\nclient: two");
}

#[rstest]
fn a_draining_server_still_accepts_connections(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let stub = Stub::start(transport, |call| {
        call.fail(RpcStatusCode::UNAVAILABLE, "draining")
    });
    let ended = run(&stub, &[]);
    assert_fails(&ended, 5, "client: id 1: UNAVAILABLE: draining");
}

#[rstest]
fn a_server_without_the_service(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let stub = Stub::without_service(transport);
    let ended = run(&stub, &[]);
    let error = "client: id 1: UNIMPLEMENTED: the server does not have protobuf.StreamService";
    assert_fails(&ended, 5, error);
}

#[rstest]
fn a_call_ends_at_its_deadline(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let stub = Stub::start(transport, |mut call| {
        call.respond("one");
        call.wait_until_over();
    });
    let ended = run(&stub, &["--timeout", "300ms", "--format", "text"]);
    let error = "client: id 1: DEADLINE_EXCEEDED: not complete within 300ms";
    assert_fails(&ended, 4, error);
    assert_eq!(ended.output, ["one"]);
}

#[rstest]
fn the_deadline_covers_retries(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let stub = Stub::start(transport, |call| {
        call.fail(RpcStatusCode::UNAVAILABLE, "busy")
    });
    let began = Instant::now();
    let ended = run(&stub, &["--timeout", "300ms", "--retries", "1000000"]);
    assert!(matches!(ended.code, Some(4 | 5)), "{ended:?}");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[rstest]
fn the_first_timeout_ends_a_call_without_a_response(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let stub = Stub::start(transport, Call::wait_until_over);
    let ended = run(&stub, &["--first-timeout", "200ms"]);
    let error = "client: id 1: DEADLINE_EXCEEDED: no response within 200ms";
    assert_fails(&ended, 4, error);
}

#[rstest]
fn the_idle_timeout_ends_a_call_between_responses(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let stub = Stub::start(transport, |mut call| {
        call.respond("one");
        call.wait_until_over();
    });
    let ended = run(&stub, &["--idle-timeout", "200ms", "--format", "text"]);
    let error = "client: id 1: DEADLINE_EXCEEDED: no further response within 200ms";
    assert_fails(&ended, 4, error);
    assert_eq!(ended.output, ["one"]);
}

// --- Retries -----------------------------------------------------------------------------------

#[rstest]
fn a_busy_server_is_retried(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let stub = Stub::start(transport, |call| match call.attempt {
        0 => call.fail(RpcStatusCode::UNAVAILABLE, "draining"),
        1 => call.fail(RpcStatusCode::RESOURCE_EXHAUSTED, "busy"),
        _ => two(call),
    });
    let ended = run(&stub, &["--retries", "2", "--format", "text"]);
    assert_complete(&ended, &["a 1", "b 1"]);
    let ended = run(&stub, &["--id", "2", "--retries", "1"]);
    assert_fails(&ended, 5, "client: id 2: RESOURCE_EXHAUSTED: busy");
}

#[rstest]
fn a_permanent_failure_is_not_retried(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let stub = Stub::start(transport, |call| match call.attempt {
        0 => call.fail(RpcStatusCode::INVALID_ARGUMENT, "never"),
        _ => two(call),
    });
    let ended = run(&stub, &["--retries", "5"]);
    assert_fails(&ended, 5, "client: id 1: INVALID_ARGUMENT: never");
}

#[rstest]
fn a_call_with_a_response_is_not_retried(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let stub = Stub::start(transport, |mut call| match call.attempt {
        0 => {
            call.respond("one");
            call.fail(RpcStatusCode::UNAVAILABLE, "gone");
        }
        _ => two(call),
    });
    let ended = run(&stub, &["--retries", "5", "--format", "text"]);
    assert_fails(&ended, 5, "client: id 1: UNAVAILABLE: gone");
    assert_eq!(ended.output, ["one"]);
}

// --- Ids ---------------------------------------------------------------------------------------

#[rstest]
fn ids_reach_the_server_unchanged(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let stub = Stub::start(transport, two);
    let extremes = ["--id=-2147483648,2147483647", "--id", "-5"];
    let arguments = [
        &extremes[..],
        &["--take", "1", "--format", "text", "--concurrency", "1"],
    ];
    let ended = run(&stub, &arguments.concat());
    assert_complete(&ended, &["a -2147483648", "a 2147483647", "a -5"]);
}

#[rstest]
fn several_ids_are_fetched_concurrently(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let (arrived, all) = bounded(3);
    let (open, gate) = bounded::<()>(0);
    let stub = Stub::start(transport, move |call| {
        arrived.send(call.id).unwrap();
        let _ = gate.recv_timeout(TEST_TIMEOUT); // until the test drops `open`
        two(call);
    });
    let client = start(&stub, &["--id", "1-3", "--format", "text"]);
    let mut ids: Vec<_> = (0..3)
        .map(|_| all.recv_timeout(TEST_TIMEOUT).unwrap())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2, 3]);
    drop(open);
    let mut ended = client.end();
    ended.output.sort();
    assert_complete(&ended, &["a 1", "a 2", "a 3", "b 1", "b 2", "b 3"]);
}

#[rstest]
fn the_failure_of_the_first_id_sets_the_exit_code(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let (open, gate) = bounded::<()>(0);
    let stub = Stub::start(transport, move |call| match call.id {
        1 => two(call),
        2 => {
            let _ = gate.recv_timeout(TEST_TIMEOUT); // until the test drops `open`
            call.fail(RpcStatusCode::DATA_LOSS, "later");
        }
        _ => call.fail(RpcStatusCode::DEADLINE_EXCEEDED, "sooner"),
    });
    let arguments = ["--id", "1-3", "--quiet", "--format", "json"];
    let client = start(&stub, &arguments);
    let sooner = client.error_line();
    assert_eq!(sooner, "client: id 3: DEADLINE_EXCEEDED: sooner");
    drop(open);
    let ended = client.end();
    assert_fails(&ended, 5, "client: id 2: DATA_LOSS: later");
    let summary = &ended.output[0];
    assert!(
        summary.starts_with(r#"{"responses":2,"bytes":6,"#),
        "{summary}"
    );
    assert!(summary.ends_with(r#""status":"DATA_LOSS"}"#), "{summary}");
}

#[rstest]
fn take_cancels_the_remaining_calls(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let (cancelled, seen) = bounded(1);
    let (open, gate) = bounded::<()>(0);
    let stub = Stub::start(transport, move |mut call| {
        call.respond("one");
        if call.id == 1 {
            call.wait_until_over();
            cancelled.send(()).unwrap();
        } else {
            // Keeps the client alive, so that its exit does not cancel the other call.
            let _ = gate.recv_timeout(TEST_TIMEOUT); // until the test drops `open`
            two(call);
        }
    });
    let client = start(&stub, &["--id", "1,2", "--take", "1", "--format", "text"]);
    seen.recv_timeout(TEST_TIMEOUT).unwrap();
    drop(open);
    assert_complete(&client.end(), &["one", "one"]);
}
