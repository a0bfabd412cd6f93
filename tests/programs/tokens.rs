//! Bearer tokens: calls without a token are refused over every transport, and a changed file is
//! reloaded.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::certificates::write_secret;
use crate::common::process::{eventually, Ended, Process};
use crate::common::server::{send_raw, TestServer, FETCH};
use crate::common::transport::path;
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use grpcio::RpcStatusCode;
use rstest::rstest;
use tempfile::TempDir;

/// A file of tokens and its directory.
fn tokens(text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens");
    write_secret(&file, text);
    (directory, file)
}

fn server(transport: Transport, tokens: &str) -> TestServer {
    TestServer::start(transport, &["--step", "0s", "--token-file", tokens])
}

#[track_caller]
fn unauthenticated(ended: &Ended, why: &str) {
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.output.is_empty());
    let error = format!("client: id 1: UNAUTHENTICATED: {why}");
    assert_eq!(ended.errors, [error]);
}

#[rstest]
fn a_call_needs_a_known_token(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let (_known, file) = tokens("# of ours\nfirst\nsecond\n");
    let file = path(&file);
    let server = server(transport, &file);
    let header = |value| ["-H", value];
    for good in ["authorization: Bearer second", "Authorization:bearer first"] {
        assert_eq!(server.client(&header(good)).end().code, Some(0), "{good}");
    }
    let own = server.client(&["--token-file", &file]).end();
    assert_eq!((own.code, own.output.len()), (Some(0), 6));
    let none = "a token is needed: send the header `authorization: Bearer TOKEN`";
    unauthenticated(&server.client(&[]).end(), none);
    for unknown in ["Bearer third", "Bearer firs", "Bearer first2", "Bearer "] {
        let header = ["-H", &format!("authorization: {unknown}")];
        let why = match unknown {
            "Bearer " => "the header `authorization` is not of the form `Bearer TOKEN`",
            _ => "the token is not known here",
        };
        unauthenticated(&server.client(&header).end(), why);
    }
    let twice = ["authorization: Bearer first", "authorization: Bearer x"];
    let twice = server.client(&["-H", twice[0], "-H", twice[1]]).end();
    assert_eq!(twice.code, Some(5), "{twice:?}");
}

#[test]
fn a_changed_file_is_reloaded() {
    let (_known, file) = tokens("old");
    let server = server(Clear, &path(&file));
    let code = |header| server.client(&["-H", header]).end().code;
    assert_eq!(code("authorization: Bearer old"), Some(0));
    write_secret(&file, "new");
    eventually(|| (code("authorization: Bearer new") == Some(0)).then_some(()));
    assert_eq!(code("authorization: Bearer old"), Some(5));
}

#[rstest]
#[case::emptied(|file: &Path| write_secret(file, "# none left\n"))]
#[case::deleted(|file: &Path| fs::remove_file(file).unwrap())]
fn a_file_without_tokens_revokes_all_tokens(#[case] revoke: fn(&Path)) {
    let (_known, file) = tokens("first\nsecond");
    let server = server(Clear, &path(&file));
    let call = || server.client(&["-H", "authorization: Bearer first"]).end();
    assert_eq!(call().code, Some(0));
    revoke(&file);
    let refused = eventually(|| Some(call()).filter(|ended| ended.code == Some(5)));
    unauthenticated(&refused, "the token is not known here");
    // A new token is accepted; by then a second warning would have been logged.
    write_secret(&file, "third");
    let third = || server.client(&["-H", "authorization: Bearer third"]).end();
    eventually(|| (third().code == Some(0)).then_some(()));
    server.process.signal("-TERM");
    let log = server.process.end().errors;
    let warnings = log.iter().filter(|line| line.contains("no token is valid"));
    assert_eq!(warnings.count(), 1, "{log:#?}");
}

#[test]
fn a_malformed_file_is_reported_and_ignored() {
    let (_known, file) = tokens("first");
    let server = server(Clear, &path(&file));
    write_secret(&file, "second\nnot a token\n");
    let error = loop {
        let line = server.process.error_line();
        if line.contains("error: ") {
            break line;
        }
    };
    assert!(error.contains(&path(&file)), "{error}");
    assert!(error.contains("line 2"), "{error}");
    let code = |header| server.client(&["-H", header]).end().code;
    assert_eq!(code("authorization: Bearer first"), Some(0));
    assert_eq!(code("authorization: Bearer second"), Some(5));
}

#[test]
fn a_fifo_in_place_of_the_file_is_reported_once_and_keeps_the_tokens() {
    let (directory, file) = tokens("first");
    let server = server(Clear, &path(&file));
    let fifo = directory.path().join("fifo");
    assert!(Command::new("mkfifo")
        .arg(&fifo)
        .status()
        .unwrap()
        .success());
    fs::rename(&fifo, &file).unwrap();
    let logged = |part: &str| loop {
        let line = server.process.error_line();
        if line.contains(part) {
            break line;
        }
    };
    let error = logged("error: ");
    assert!(error.contains("not a regular file"), "{error}");
    let code = |header| server.client(&["-H", header]).end().code;
    assert_eq!(code("authorization: Bearer first"), Some(0));
    let next = directory.path().join("next");
    write_secret(&next, "second");
    fs::rename(&next, &file).unwrap();
    logged("reloaded the token file");
    assert_eq!(code("authorization: Bearer second"), Some(0));
    assert_eq!(code("authorization: Bearer first"), Some(5));
    server.process.signal("-TERM");
    let rest = server.process.end().errors;
    assert!(!rest.concat().contains("error: "), "{rest:?}");
}

#[test]
fn the_file_may_be_a_pipe_at_the_start() {
    let script = r#"echo first | "$0" --listen 127.0.0.1:0 --token-file /dev/stdin --check-config"#;
    let ended = Process::start("sh", ["-c", script, env!("CARGO_BIN_EXE_server")]).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// grpcio answers unknown methods before it runs any check, so a caller without a token learns only
/// that a method does not exist.
#[test]
fn an_unknown_method_is_unimplemented_without_a_token() {
    let (_known, file) = tokens("first");
    let server = server(Clear, &path(&file));
    let channel = server.channel();
    for unknown in [
        "/protobuf.StreamService/Fetch",
        "/grpc.channelz.v1.Channelz/GetServers",
    ] {
        let (responses, status) = send_raw(&channel, unknown, Vec::new());
        assert_eq!(responses, 0);
        assert_eq!(status.code(), RpcStatusCode::UNIMPLEMENTED, "{unknown}");
        assert_eq!(status.message(), "");
    }
    let (responses, status) = send_raw(&channel, FETCH, Vec::new());
    assert_eq!(
        (responses, status.code()),
        (0, RpcStatusCode::UNAUTHENTICATED)
    );
}

#[test]
fn a_token_is_not_sent_in_the_clear_to_another_machine() {
    let (_known, file) = tokens("secret");
    let flags = ["--addr", "192.0.2.1:1", "--token-file", &path(&file)];
    let ended = Process::start(env!("CARGO_BIN_EXE_client"), flags).end();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let said = ended.errors.join("\n");
    assert!(said.contains("--token-file: without --tls"), "{said}");
    // An explicit header is sent, with a warning.
    let flags = ["--addr", "192.0.2.1:1", "--connect-timeout", "1ms"];
    let header = ["-H", "authorization: Bearer secret"];
    let ended = Process::start(env!("CARGO_BIN_EXE_client"), [&flags[..], &header].concat()).end();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let warning = "client: warning: --header: `authorization` is sent unencrypted";
    assert!(ended.errors[0].starts_with(warning), "{ended:?}");
}
