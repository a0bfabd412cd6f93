//! `outside_package`, a package outside the workspace, uses the library without default features. It
//! serves its own protos over TLS, with a token, metrics, health, reflection and a drain, and its
//! client goes on where a stream broke.

use std::collections::HashSet;
use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use crate::common::certificates::{write_secret, Authority};
use crate::common::http::get;
use crate::common::process::{Process, TEST_TIMEOUT};

const PACKAGE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/packages/outside_package"
);

/// With another version of a dependency, cargo would compile the C-core a second time.
#[test]
fn the_package_locks_the_versions_of_the_workspace() {
    let locked = |directory: &str| -> HashSet<String> {
        let text = fs::read_to_string(format!("{directory}/Cargo.lock")).unwrap();
        let packages = text.split("[[package]]\n").skip(1);
        // Name and version.
        packages
            .map(|package| package.lines().take(2).collect())
            .collect()
    };
    let ours = locked(env!("CARGO_MANIFEST_DIR"));
    let mut others = locked(PACKAGE);
    others.retain(|package| !package.contains("\"outside\"") && !ours.contains(package));
    assert_eq!(
        others,
        HashSet::new(),
        "copy Cargo.lock of the workspace there, and build"
    );
}

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
fn an_outside_package_builds_serves_resumes_and_drains() {
    let outside = build();
    let directory = tempfile::tempdir().unwrap();
    let file = |name| directory.path().join(name);
    let authority = Authority::new();
    authority.issue_files(directory.path(), "server", &["localhost"]);
    authority.write(&file("ca.pem"));
    write_secret(&file("tokens"), "a-token-of-the-outside-package\n");
    let mut log = File::create(file("app.log")).unwrap();
    log.write_all(b"one\ntwo\nthree\n").unwrap();
    make_table(&file("events.db"));

    let of = directory.path().to_str().unwrap();
    let start = |address: &str| Process::start(&outside, ["serve", address, of]);
    let server = start("localhost:0");
    let (address, _) = (server.line(), server.line());
    let ask = |command: &str, what: &str| Process::start(&outside, [command, &address, of, what]);
    let answer = |command: &str, what: &str| {
        let ended = ask(command, what).end();
        assert_eq!(ended.code, Some(0), "{:?}", ended.errors);
        ended.output
    };
    assert_eq!(answer("count", "app.log"), ["3 lines"]);
    let events: Vec<_> = (1..=EVENTS).map(|n| format!("{n} event {n}")).collect();
    assert_eq!(answer("query", "warn"), events);
    let face = r#"Minute Some(Text("7")) {"now": Line { number: 7, text: "x" }}"#;
    assert_eq!(answer("clock", "x"), ["it is 1970-01-01T00:01:00Z", face]);
    for (what, code) in [("../app.log", "INVALID_ARGUMENT"), ("no.log", "NOT_FOUND")] {
        let refused = ask("count", what).end();
        assert_eq!(refused.code, Some(1));
        assert!(refused.errors.concat().contains(code), "{refused:?}");
    }

    // Another server goes on where the first one was killed.
    let tail = ask("tail", "app.log");
    for line in ["1 one", "2 two", "3 three"] {
        assert_eq!(tail.line(), line);
    }
    server.signal("-KILL");
    server.end();
    log.write_all(b"four\nfi").unwrap();
    let server = start(&address);
    let (_, metrics) = (server.line(), server.line());
    assert_eq!(tail.line(), "4 four");
    log.write_all(b"ve\n").unwrap();
    assert_eq!(tail.line(), "5 five");

    let page = get(&metrics, "/metrics").body;
    assert!(page.contains(r#"grpc_method="Tail""#), "{page}");
    let tool = |command: &str, flags: &[&str]| {
        let ca = format!("{of}/ca.pem");
        let to_server = [command, "--addr", &address, "--tls", "--ca", &ca];
        let flags = to_server.iter().chain(flags);
        Process::start(env!("CARGO_BIN_EXE_client"), flags).end()
    };
    let tokens = format!("{of}/tokens");
    let health = tool("health", &["--token-file", &tokens]);
    assert_eq!(health.code, Some(0), "{health:?}");
    let services = tool("list", &["--token-file", &tokens]).output;
    assert!(services.contains(&"logs.v1.Logs".into()), "{services:?}");
    let without = tool("health", &[]).errors.concat();
    assert!(without.contains("UNAUTHENTICATED"), "{without}");

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
    let tail = tail.end();
    assert_eq!((tail.output, tail.code), (Vec::new(), Some(0)));
    let server = server.end();
    assert_eq!(server.output, ["Drained { aborted: 0, clean: true }"]);
    assert_eq!(server.errors, [""; 0]);
    assert_eq!(server.code, Some(0));
}

/// The events that the test asks for: several pages.
const EVENTS: u32 = 250;

fn make_table(path: &Path) {
    let table = rusqlite::Connection::open(path).unwrap();
    let make = "CREATE TABLE events (number INTEGER PRIMARY KEY, level TEXT, text TEXT)";
    table.execute(make, ()).unwrap();
    let add = "INSERT INTO events VALUES (?, ?, 'event ' || ?)";
    let rows = (1..=EVENTS).map(|n| (n, "warn"));
    for (number, level) in rows.chain([(EVENTS + 1, "info")]) {
        table.execute(add, (number, level, number)).unwrap();
    }
}
