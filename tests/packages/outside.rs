//! `outside_package`, a package outside the workspace, uses the library without default features
//! and serves its own protos over TLS, with metrics and a drain: one by rust-protobuf, one by prost.

use std::env;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use crate::common::certificates::Authority;
use crate::common::http::get;
use crate::common::process::{Process, TEST_TIMEOUT};

const PACKAGE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/packages/outside_package"
);

/// Builds the package into the target directory of this test, which avoids a second build of the
/// C-core, and returns the path of the program.
fn build() -> String {
    let own = env::current_exe().unwrap();
    let profile = own.ancestors().nth(2).unwrap();
    let target = profile.parent().unwrap();
    let built = crate::cargo()
        .args(["build", "--locked", "--release"])
        .current_dir(PACKAGE)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{errors}");
    // Its build script, and that of the library, find the toolchain file.
    assert!(!errors.contains("C-core"), "{errors}");
    let program = target.join("release/outside");
    program.to_str().unwrap().into()
}

#[test]
fn an_outside_package_builds_serves_and_drains() {
    let outside = build();
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let files = authority.issue_files(directory.path(), "server", &["localhost"]);
    let ca = authority.write(&directory.path().join("ca.pem"));
    let text = |path: &Path| path.to_str().unwrap().to_string();
    let (certificate, key) = (text(&files.certificate), text(&files.key));
    let server = Process::start(&outside, ["serve", &certificate, &key]);
    let (address, metrics) = (server.line(), server.line());
    let watch = |ticks| Process::start(&outside, ["watch", &address, &text(&ca), ticks]);

    let few = watch("3").end();
    assert_eq!(few.output, ["tick 0", "tick 1", "tick 2"]);
    assert_eq!(few.code, Some(0), "{:?}", few.errors);

    let clock = Process::start(&outside, ["clock", &address, &text(&ca)]).end();
    assert_eq!(clock.output[..3], few.output[..]);
    assert_eq!(clock.output[3], "it is 1970-01-01T00:01:00Z");
    assert_eq!(
        clock.output[4],
        r#"Minute Some(Text("7")) {"now": Tick { number: 7 }}"#
    );
    assert_eq!(clock.code, Some(0), "{:?}", clock.errors);

    let many = watch("4000000000");
    assert_eq!(many.line(), "tick 0");
    let page = get(&metrics, "/metrics").body;
    let started = r#"grpc_method="Watch""#;
    assert!(page.contains(started), "{page}");

    // The C-core's log of such a client goes nowhere: the program's standard error is its own.
    let mut stranger = TcpStream::connect(address.as_str()).unwrap();
    stranger.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    stranger
        .write_all(b"not TLS, and long enough to be seen as such")
        .unwrap();
    // Until the server has refused it.
    let _ = stranger.read_to_end(&mut Vec::new());

    // The producer sees the drain and ends.
    server.signal("-TERM");
    assert_eq!(many.end().code, Some(0));
    let server = server.end();
    assert_eq!(server.output, ["Drained { aborted: 0, clean: true }"]);
    assert_eq!(server.errors, [""; 0]);
    assert_eq!(server.code, Some(0));
}
