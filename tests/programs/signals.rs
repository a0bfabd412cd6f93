//! Signals of a running server: SIGHUP reloads, and signals without a meaning do not end it. The
//! drain of SIGTERM and SIGINT is in `shutdown.rs`.

use crate::common::certificates::write_secret;
use crate::common::process::Process;
use crate::common::server::TestServer;
use crate::common::transport::path;
use crate::common::transport::Transport::{Clear, MutualTls};
use rstest::rstest;

/// The next line of the log that contains `part`.
#[track_caller]
fn line_with(process: &Process, part: &str) -> String {
    loop {
        let line = process.error_line();
        if line.contains(part) {
            return line;
        }
    }
}

#[track_caller]
fn drains(server: TestServer) {
    server.process.signal("-TERM");
    let ended = server.process.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_hangup_without_files_reloads_nothing() {
    let server = TestServer::start(Clear, &["--step", "0s"]);
    server.process.signal("-HUP");
    let said = line_with(&server.process, "reload");
    assert!(said.contains("nothing to reload"), "{said}");
    assert_eq!(server.client(&[]).end().code, Some(0));
    drains(server);
}

#[test]
fn a_hangup_reloads_what_changed() {
    let directory = tempfile::tempdir().unwrap();
    let tokens = directory.path().join("tokens");
    write_secret(&tokens, "old");
    let server = TestServer::start(MutualTls, &["--step", "0s", "--token-file", &path(&tokens)]);
    server.process.signal("-HUP");
    let files = "the certificate, the private key, the file of authorities, the token file";
    let said = line_with(&server.process, "nothing new in");
    for file in files.split(", ") {
        assert!(said.contains(file), "{said}");
    }
    write_secret(&tokens, "new");
    server.process.signal("-HUP");
    line_with(&server.process, "reloaded the token file");
    let call = |token: &str| {
        let header = format!("authorization: Bearer {token}");
        server.client(&["-H", &header]).end().code
    };
    assert_eq!((call("new"), call("old")), (Some(0), Some(5)));
    drains(server);
}

#[test]
fn a_hangup_reports_an_unusable_file_again() {
    let directory = tempfile::tempdir().unwrap();
    let tokens = directory.path().join("tokens");
    write_secret(&tokens, "old");
    let server = TestServer::start(Clear, &["--token-file", &path(&tokens)]);
    write_secret(&tokens, "not a token");
    for _ in 0..2 {
        server.process.signal("-HUP");
        let said = line_with(&server.process, "line 1");
        assert!(said.contains("stays in use"), "{said}");
    }
    drains(server);
}

#[rstest]
#[case("-USR1", "SIGUSR1")]
#[case("-USR2", "SIGUSR2")]
#[case("-ALRM", "SIGALRM")]
#[case("-VTALRM", "SIGVTALRM")]
#[case("-PROF", "SIGPROF")]
#[case("-29", "SIGIO")]
#[case("-30", "SIGPWR")]
#[case("-16", "SIGSTKFLT")]
fn a_signal_without_a_meaning_is_logged(#[case] signal: &str, #[case] name: &str) {
    let server = TestServer::start(Clear, &["--step", "0s"]);
    server.process.signal(signal);
    let said = line_with(&server.process, name);
    assert!(said.contains("has no meaning for this server"), "{said}");
    assert_eq!(server.client(&[]).end().code, Some(0));
    drains(server);
}
