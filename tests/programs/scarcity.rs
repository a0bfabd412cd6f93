//! A server that has used up its file descriptors, or is granted no more threads, and a client that
//! is granted none. Unit tests cover a server without enough threads for its start.

use std::fs::{self, Permissions};
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use tempfile::TempDir;

use crate::common::process::Process;

/// A server without connections has 10 descriptors.
const SCRIPT: &str = r#"ulimit -n 40; exec "$0" --listen 127.0.0.1:0 --step 0s"#;

#[test]
fn a_lack_of_descriptors_is_logged_once_and_ends() {
    let server = Process::start("sh", ["-c", SCRIPT, env!("CARGO_BIN_EXE_server")]);
    let address = address(&server);
    let open: Vec<_> = (0..60)
        .map(|_| TcpStream::connect(&address).unwrap())
        .collect();
    while !server
        .error_line()
        .contains("warning: no file descriptor is left")
    {}
    drop(open);
    // It waits until the server has accepted and closed the others.
    let client = Process::start(env!("CARGO_BIN_EXE_client"), ["--addr", &address]).end();
    assert_eq!(client.code, Some(0), "{client:?}");
    server.signal("-TERM");
    let ended = server.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.errors.concat().contains("warning: "), "{ended:?}");
}

/// What a client of HTTP/2 sends first, with empty settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The prefix of a command that the limit of processes binds, as it does not bind root's.
fn limited() -> Vec<&'static str> {
    match rustix::process::geteuid().is_root() {
        true => vec![
            "setpriv",
            "--reuid=23456",
            "--regid=23456",
            "--clear-groups",
        ],
        false => vec!["env"],
    }
}

/// A copy of the program that every user may run, in a directory that goes with the first value.
fn for_all_users(program: &str) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let copy = directory.path().join("program");
    fs::copy(program, &copy).unwrap();
    let copy = copy.to_str().unwrap().to_owned();
    (directory, copy)
}

#[test]
fn a_client_without_threads_says_so() {
    let (_directory, program) = for_all_users(env!("CARGO_BIN_EXE_client"));
    let prefix = limited();
    let client = ["prlimit", "--nproc=1:1", &program, "--addr", "127.0.0.1:1"];
    let client = Process::start(prefix[0], prefix[1..].iter().chain(&client)).end();
    let errors = client.errors.concat();
    assert!(
        errors.contains("more threads are needed, and the system allows 0"),
        "{client:?}"
    );
    assert!(!errors.contains("panicked"), "{client:?}");
}

/// Once refused a thread, the C-core waits for it when it ends, for ever.
#[test]
fn a_server_that_was_refused_a_thread_ends() {
    let (_directory, program) = for_all_users(env!("CARGO_BIN_EXE_server"));
    let server = [&program, "--listen", "127.0.0.1:0"];
    let settings = ["--max-connection-idle", "1s", "--log-level", "debug"];
    let prefix = limited();
    let arguments = prefix[1..].iter().chain(&server).chain(&settings);
    let server = Process::start(prefix[0], arguments);

    let address = address(&server);
    let pid = server.id().to_string();
    let limited = Command::new(prefix[0])
        .args(&prefix[1..])
        .args(["prlimit", "--nproc=1:1", "--pid", &pid])
        .status();
    assert!(limited.unwrap().success());
    // Their timers expire together, and the C-core wants more threads for them.
    let idle = |_| {
        let mut connection = TcpStream::connect(&address).unwrap();
        connection.write_all(PREFACE).unwrap();
        connection
    };
    let _idle: Vec<_> = (0..200).map(idle).collect();
    while !server.error_line().contains("pthread_create failed") {}
    server.signal("-TERM");
    let ended = server.end();
    // 1 if the C-core could not close the connections either.
    assert!(matches!(ended.code, Some(0 | 1)), "{ended:?}");
    let errors = ended.errors.concat();
    assert!(errors.contains("warning: the C-core could not"), "{errors}");
}

fn address(server: &Process) -> String {
    let listening = server.line();
    listening.strip_prefix("listening on ").unwrap().to_owned()
}
