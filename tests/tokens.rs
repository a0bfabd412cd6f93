//! Bearer tokens: who has none gets nothing, over every wire.

mod common {
    pub mod certificates;
    pub mod process;
    pub mod server;
    pub mod wire;
}

use std::path::PathBuf;

use common::certificates::write_secret;
use common::process::{eventually, Ended, Process};
use common::server::TestServer;
use common::wire::path;
use common::wire::Wire::{self, Clear, MutualTls, Tls};
use rstest::rstest;
use tempfile::TempDir;

/// A directory for a file of tokens.
fn tokens(text: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens");
    write_secret(&file, text);
    (directory, file)
}

fn server(wire: Wire, tokens: &str) -> TestServer {
    TestServer::start(wire, &["--step", "0s", "--token-file", tokens])
}

#[track_caller]
fn unauthenticated(ended: &Ended, why: &str) {
    assert_eq!(ended.code, Some(5), "{ended:?}");
    assert!(ended.output.is_empty());
    let error = format!("client: id 1: UNAUTHENTICATED: {why}");
    assert_eq!(ended.errors, [error]);
}

#[rstest]
fn a_known_token_is_needed(#[values(Clear, Tls, MutualTls)] wire: Wire) {
    let (_known, file) = tokens("# of ours\nfirst\nsecond\n");
    let file = path(&file);
    let server = server(wire, &file);
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
fn tokens_change_with_their_file() {
    let (_known, file) = tokens("old");
    let server = server(Clear, &path(&file));
    let code = |header| server.client(&["-H", header]).end().code;
    assert_eq!(code("authorization: Bearer old"), Some(0));
    write_secret(&file, "new");
    eventually(|| (code("authorization: Bearer new") == Some(0)).then_some(()));
    assert_eq!(code("authorization: Bearer old"), Some(5));
    // Nobody is locked out by a file that is empty for a moment, or for good.
    write_secret(&file, "");
    while !server.process.error_line().contains("no token in it") {}
    assert_eq!(code("authorization: Bearer new"), Some(0));
}

#[test]
fn a_token_is_not_sent_in_the_clear_to_another_machine() {
    let (_known, file) = tokens("secret");
    let flags = ["--addr", "192.0.2.1:1", "--token-file", &path(&file)];
    let ended = Process::start(env!("CARGO_BIN_EXE_client"), flags).end();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let said = ended.errors.join("\n");
    assert!(said.contains("--token-file: without --tls"), "{said}");
    // What is typed is sent, but not without a word.
    let flags = ["--addr", "192.0.2.1:1", "--connect-timeout", "1ms"];
    let header = ["-H", "authorization: Bearer secret"];
    let ended = Process::start(env!("CARGO_BIN_EXE_client"), [&flags[..], &header].concat()).end();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let warning = "client: warning: --header: `authorization` is sent in the clear";
    assert!(ended.errors[0].starts_with(warning), "{ended:?}");
}
