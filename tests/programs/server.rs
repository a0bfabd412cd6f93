//! The `server` binary: its log, listeners, errors and exit codes.

use std::fs::Permissions;
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use crate::common::process::{eventually, Ended, Process};
use crate::common::server::{send_raw, server, TestServer, FETCH};
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use grpcio::RpcStatusCode;
use rstest::rstest;

/// The text after Go's time stamp.
#[track_caller]
fn without_stamp(line: &str) -> &str {
    let (stamp, text) = line.split_at("2020/11/10 22:26:11 ".len());
    let shape = |c: char| if c.is_ascii_digit() { '0' } else { c };
    let shape: String = stamp.chars().map(shape).collect();
    assert_eq!(shape, "0000/00/00 00:00:00 ", "{line}");
    text
}

#[rstest]
fn the_log_equals_the_tutorials(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    // Long enough that workers finish in order, even on a busy machine.
    let server = TestServer::start(transport, &["--step", "100ms"]);
    let client = server.client(&["--id", "7"]).end();
    assert_eq!(client.code, Some(0));
    server.process.signal("-TERM");
    let Ended { code, errors, .. } = server.process.end();
    assert_eq!(code, Some(0));
    let lines: Vec<_> = errors.iter().map(|line| without_stamp(line)).collect();
    assert_eq!(
        lines[..7],
        [
            "start server",
            "fetch response for id : 7",
            "finishing request number : 0",
            "finishing request number : 1",
            "finishing request number : 2",
            "finishing request number : 3",
            "finishing request number : 4",
        ]
    );
}

#[rstest]
fn the_log_can_be_json(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = TestServer::start(transport, &["--step", "0s", "--log-format", "json"]);
    server.client(&[]).end();
    server.process.signal("-TERM");
    let errors = server.process.end().errors;
    let lines: Vec<serde_json::Value> = errors
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["message"], "start server");
    let ended = lines.iter().find(|line| line["message"] == "call ended");
    assert_eq!(ended.expect("a line for the call")["id"], "1");
}

#[rstest]
fn log_level_warn_is_silent(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = TestServer::start(transport, &["--step", "0s", "--log-level", "warn"]);
    server.client(&[]).end();
    server.process.signal("-TERM");
    assert!(server.process.end().errors.is_empty());
}

#[rstest]
fn responses_come_a_step_apart(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = TestServer::start(transport, &["--responses", "3", "--step", "100ms"]);
    let began = Instant::now();
    let client = server.client(&["--format", "text"]);
    for k in 0..3 {
        assert_eq!(client.line(), format!("Request #{k} For Id:1"));
        assert!(began.elapsed() >= Duration::from_millis(100 * k));
    }
    assert_eq!(client.end().code, Some(0));
}

#[rstest]
fn results_have_the_requested_size(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = TestServer::start(transport, &["--size", "64KiB", "--step", "0s"]);
    let text = server.client(&["--format", "text"]).end();
    assert_eq!(text.output.len(), 5);
    assert!(text.output.iter().all(|line| line.len() == 65536));
}

#[rstest]
fn localhost_binds_all_its_addresses_on_one_port(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let server = TestServer::listen(transport, "localhost:0", &["--step", "0s"]);
    let port: u16 = server
        .address
        .strip_prefix("localhost:")
        .unwrap()
        .parse()
        .unwrap();
    for address in ("localhost", port).to_socket_addrs().unwrap() {
        // Includes ::1 where localhost resolves to it.
        assert!(TcpStream::connect(address).is_ok(), "{address}");
    }
    assert_eq!(server.client(&[]).end().code, Some(0));
}

#[test]
fn a_public_cleartext_address_causes_a_warning() {
    let server = TestServer::listen(Clear, "0.0.0.0:0", &[]);
    server.process.error_line();
    let warning = server.process.error_line();
    assert!(warning.contains("warning: 0.0.0.0:"), "{warning}");
    assert!(warning.contains("not encrypted"), "{warning}");
}

#[rstest]
fn a_unix_socket_is_served_and_removed(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let address = format!("unix:{}", path.display());
    let setup = transport.set_up();
    let flags = ["--listen", &address, "--step", "0s"].map(String::from);
    let flags = [&flags[..], &setup.server_flags()].concat();
    let server = server(flags.iter().map(String::as_str));
    eventually(|| path.exists().then_some(()));
    let flags = ["--addr", &address, "--wait-for-ready"].map(String::from);
    let flags = [&flags[..], &setup.client_flags()].concat();
    let client = Process::start(env!("CARGO_BIN_EXE_client"), flags).end();
    assert_eq!(client.code, Some(0), "{client:?}");
    server.signal("-INT");
    assert_eq!(server.end().code, Some(0));
    assert!(!path.exists());
}

/// The C-core decodes escapes in an address; a path must be taken literally.
#[rstest]
fn a_unix_socket_path_is_taken_literally(
    #[values("a%41", "50%", "a b?c#d", "%2e%2e%2fup")] name: &str,
) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    let address = format!("unix:{}", path.display());
    let served = server(["--listen", &address, "--step", "0s"]);
    assert_eq!(without_stamp(&served.error_line()), "start server");
    assert!(path.exists());
    let flags = ["--addr", &address, "--format", "text"];
    let client = Process::start(env!("CARGO_BIN_EXE_client"), flags).end();
    assert_eq!(
        (client.code, client.output.len()),
        (Some(0), 5),
        "{client:?}"
    );
    cannot_listen(&address, "address in use");
    served.signal("-TERM");
    assert_eq!(served.end().code, Some(0));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

/// Asserts exit code 3 and one line that contains `why`.
#[track_caller]
fn cannot_listen(address: &str, why: &str) {
    let ended = server(["--listen", address]).end();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert_eq!(ended.errors.len(), 1, "{ended:?}");
    let line = &ended.errors[0];
    assert!(line.contains("error: ") && line.contains(why), "{line}");
}

#[test]
fn an_address_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    cannot_listen(
        &address,
        &format!("cannot listen on {address}: Address already in use"),
    );
    let first = TestServer::start(Clear, &[]);
    cannot_listen(&first.address, "Address already in use");
}

#[test]
fn one_address_of_a_name_is_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    cannot_listen(&format!("localhost:{port}"), "Address already in use");
}

#[test]
fn a_host_that_does_not_exist() {
    cannot_listen(
        "no-such-host.invalid:50005",
        "cannot resolve `no-such-host.invalid`",
    );
}

#[test]
fn an_address_of_another_machine() {
    cannot_listen("192.0.2.1:50005", "annot assign requested address");
}

#[test]
fn an_unusable_socket_path() {
    let dir = tempfile::tempdir().unwrap();
    let unix = |name: &str| format!("unix:{}/{name}", dir.path().display());
    cannot_listen(&unix("missing/socket"), "No such file or directory");
    std::fs::write(dir.path().join("file"), "kept").unwrap();
    cannot_listen(&unix("file"), "no socket");
    assert_eq!(std::fs::read(dir.path().join("file")).unwrap(), b"kept");
    let _live = UnixListener::bind(dir.path().join("live")).unwrap();
    cannot_listen(&unix("live"), "address in use");
    // The stale socket of a killed server is replaced.
    drop(UnixListener::bind(dir.path().join("stale")).unwrap());
    let address = unix("stale");
    let server = server(["--listen", &address]);
    assert_eq!(without_stamp(&server.error_line()), "start server");
}

#[test]
fn a_socket_path_without_permission() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o500)).unwrap();
    let path = dir.path().join("socket");
    let address = format!("unix:{}", path.display());
    match UnixListener::bind(&path) {
        Err(_) => cannot_listen(&address, "Permission denied"),
        // Root ignores permissions, except in /proc.
        Ok(_) => cannot_listen("unix:/proc/socket", "cannot listen on unix:/proc/socket"),
    }
}

#[test]
fn wrong_flags_are_named() {
    for flag in ["--step=soon", "--listen=localhost", "--wrong"] {
        let ended = server([flag]).end();
        assert_eq!(ended.code, Some(2));
        let name = flag.split('=').next().unwrap();
        assert!(ended.errors.concat().contains(name), "{ended:?}");
    }
}

#[rstest]
fn a_stream_beyond_the_maximum_is_resource_exhausted(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let server = TestServer::start(transport, &["--max-streams", "1", "--step", "1h"]);
    let first = server.client(&[]);
    first.line();
    let second = server.client(&[]).end();
    assert_eq!(second.code, Some(5));
    assert!(
        second.errors[0].contains("RESOURCE_EXHAUSTED"),
        "{second:?}"
    );
}

#[rstest]
fn streams_beyond_the_connection_limit_wait(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = TestServer::start(
        transport,
        &["--max-streams-per-connection", "1", "--step", "50ms"],
    );
    let ended = server.client(&["--id", "1-4", "--format", "text"]).end();
    assert_eq!((ended.code, ended.output.len()), (Some(0), 20));
    server.process.signal("-TERM");
    let log = server.process.end().errors;
    // One id at a time: five responses, then the next request.
    for of_one_id in log[1..25].chunks(6) {
        assert!(of_one_id[0].contains("fetch response"), "{log:#?}");
        for (k, line) in of_one_id[1..].iter().enumerate() {
            assert!(line.ends_with(&format!("number : {k}")), "{log:#?}");
        }
    }
}

#[rstest]
fn large_requests_can_be_allowed(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = TestServer::start(transport, &["--step", "0s", "--max-request-bytes", "1MiB"]);
    // The id, then an unknown field of 100,000 bytes.
    let mut request = vec![0x08, 0x01, 0x7a, 0xa0, 0x8d, 0x06];
    request.extend(vec![0; 100_000]);
    let (responses, status) = send_raw(&server.channel(), FETCH, request);
    assert_eq!((responses, status.code()), (5, RpcStatusCode::OK));
}
