//! A server that has used up its file descriptors. Unit tests cover one without enough threads.

use std::net::TcpStream;

use crate::common::process::Process;

/// A server without connections has 10 descriptors.
const SCRIPT: &str = r#"ulimit -n 40; exec "$0" --listen 127.0.0.1:0 --step 0s"#;

#[test]
fn a_lack_of_descriptors_is_logged_once_and_ends() {
    let server = Process::start("sh", ["-c", SCRIPT, env!("CARGO_BIN_EXE_server")]);
    let listening = server.line();
    let address = listening.strip_prefix("listening on ").unwrap();
    let open: Vec<_> = (0..60)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    while !server
        .error_line()
        .contains("warning: no file descriptor is left")
    {}
    drop(open);
    // It waits until the server has accepted and closed the others.
    let client = Process::start(env!("CARGO_BIN_EXE_client"), ["--addr", address]).end();
    assert_eq!(client.code, Some(0), "{client:?}");
    server.signal("-TERM");
    let ended = server.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.errors.concat().contains("warning: "), "{ended:?}");
}
