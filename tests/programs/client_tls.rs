//! TLS in the `client` binary: trust, error messages, certificates and headers.

use std::path::Path;

use crate::common::certificates::Authority;
use crate::common::process::{Ended, Process};
use crate::common::stub::{Call, Stub};
use crate::common::transport::path;
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use crossbeam_channel::bounded;
use rstest::rstest;

fn client(address: &str, flags: &[&str]) -> Ended {
    let all = ["--addr", address, "--format", "text"];
    Process::start(env!("CARGO_BIN_EXE_client"), [&all, flags].concat()).end()
}

fn one(mut call: Call) {
    call.respond("one");
    call.end();
}

/// Asserts exit code 3 and the message `why`.
#[track_caller]
fn cannot_connect(stub: &Stub, flags: &[&str], why: &str) {
    let ended = client(&stub.address, flags);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let error = format!(
        "client: UNAVAILABLE: cannot connect to {}: {why}",
        stub.address
    );
    assert_eq!(ended.errors, [error]);
}

/// The path of a stub's authority.
fn ca(stub: &Stub) -> String {
    stub.client_flags()[4].clone()
}

#[test]
fn a_server_of_another_authority_is_not_trusted() {
    let stub = Stub::start(Tls, one);
    let why = "the server's certificate is not trusted: it is of another authority, or out of date";
    let directory = tempfile::tempdir().unwrap();
    let other = path(&Authority::new().write(&directory.path().join("other.pem")));
    cannot_connect(&stub, &["--tls", "--ca", &other], why);
    // The system does not know a test's authority either.
    cannot_connect(&stub, &["--tls"], why);
}

#[test]
fn the_certificate_must_have_the_servers_name() {
    let stub = Stub::start(Tls, one);
    let ca = ca(&stub);
    let of_another = ["--tls", "--ca", &ca, "--server-name", "example.test"];
    let why = "the server's certificate is not for `example.test`";
    cannot_connect(&stub, &of_another, why);
    let own = ["--tls", "--ca", &ca, "--server-name", "localhost"];
    let ended = client(&stub.address, &own);
    assert_eq!(
        (ended.code, &ended.output[..]),
        (Some(0), &["one".into()][..])
    );
}

#[test]
fn tls_and_cleartext_do_not_mix() {
    let clear = Stub::start(Clear, one);
    cannot_connect(&clear, &["--tls"], "the server does not speak TLS");
    let tls = Stub::start(Tls, one);
    let why = "the server closes the connection; perhaps it speaks TLS only";
    cannot_connect(&tls, &[], why);
}

#[test]
fn an_untrusted_client_certificate_is_reported() {
    let stub = Stub::start(MutualTls, one);
    let directory = tempfile::tempdir().unwrap();
    let files = Authority::new().issue_files(directory.path(), "client", &["client.test"]);
    let (ca, pem, key) = (ca(&stub), path(&files.certificate), path(&files.key));
    let flags = ["--tls", "--ca", &ca];
    let why = "the server closes the connection; perhaps it wants a client's certificate";
    cannot_connect(&stub, &flags, why);
    let identity = ["--cert", &pem, "--key", &key];
    let why =
        "the server closes the connection; perhaps it does not trust the client's certificate";
    cannot_connect(&stub, &[&flags[..], &identity].concat(), why);
}

#[rstest]
fn headers_reach_the_server(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let (tell, told) = bounded(1);
    let stub = Stub::start(transport, move |call| {
        tell.send(call.headers.clone()).unwrap();
        one(call);
    });
    let flags = [
        &stub.client_flags()[2..],
        &["-H".into(), "X-Tenant: blue".into()],
        &["--header".into(), "trace-bin: /wAB".into()],
    ]
    .concat();
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let ended = client(&stub.address, &flags);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let headers = told
        .recv_timeout(crate::common::process::TEST_TIMEOUT)
        .unwrap();
    for (name, value) in [("x-tenant", &b"blue"[..]), ("trace-bin", &[255, 0, 1])] {
        let found = headers.iter().find(|(found, _)| found == name);
        assert_eq!(found.unwrap().1, value);
    }
}

/// Asserts exit code 2 and each part in the message.
#[track_caller]
fn wrong_usage(flags: &[&str], parts: &[&str]) {
    let ended = client("127.0.0.1:1", flags);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let said = ended.errors.join("\n");
    for part in parts {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn contradictory_flags_are_wrong_usage() {
    wrong_usage(&["--ca", "x"], &["needs", "--tls"]);
    wrong_usage(&["--server-name", "x"], &["needs", "--tls"]);
    wrong_usage(&["--tls", "--cert", "x"], &["needs", "--key"]);
    wrong_usage(&["--tls", "--key", "x"], &["needs", "--cert"]);
    let twice = ["--token-file", "x", "-H", "authorization: y"];
    wrong_usage(&twice, &["--token-file", "--header", "`authorization`"]);
}

#[test]
fn a_header_of_http_is_wrong_usage() {
    let of_http = ["-H", "Connection: close"];
    wrong_usage(&of_http, &["--header", "`connection`", "HTTP/2 forbids it"]);
    let of_grpc = ["-H", "te: trailers"];
    wrong_usage(&of_grpc, &["--header", "`te` is set by gRPC itself"]);
}

#[test]
fn an_unusable_file_is_named_with_its_flag() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let issue = |name| authority.issue_files(directory.path(), name, &["a.test"]);
    let (one, other) = (issue("one"), issue("other"));
    let [pem, key, other] = [&one.certificate, &one.key, &other.key].map(|file: &_| path(file));
    let no = "/no/such";
    wrong_usage(&["--tls", "--ca", no], &["--ca: ", no, "No such file"]);
    wrong_usage(
        &["--tls", "--ca", &key],
        &["--ca: ", &key, "no certificate"],
    );
    let pair = |key| ["--tls", "--cert", &pem, "--key", key];
    wrong_usage(&pair(no), &["--key: ", no, "No such file"]);
    wrong_usage(&pair(&other), &["--key: ", &other, "not the key of"]);
    wrong_usage(&["--token-file", no], &["--token-file: ", no]);
}

#[test]
fn a_key_readable_by_others_causes_a_warning() {
    let stub = Stub::start(MutualTls, one);
    let flags = stub.client_flags();
    let key = flags.last().unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(Path::new(key), mode).unwrap();
    let flags: Vec<_> = flags[2..].iter().map(String::as_str).collect();
    let ended = client(&stub.address, &flags);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let wanted = format!("client: warning: --key: `{key}` can be read by others");
    assert!(ended.errors[0].starts_with(&wanted), "{ended:?}");
}
