//! `serve` several times in one process, and signals before and after it. Signals concern a whole
//! process, so each test runs [`serves_twice`] in a process of its own.

use std::env;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;

use fanstream::address::Address;
use fanstream::server::Server;

use crate::common::process::{eventually, Process, TEST_TIMEOUT};
use crate::{echo, SECOND};

/// Names the directory of the sockets. Without it, [`serves_twice`] does nothing.
const DIRECTORY: &str = "FANSTREAM_TEST_SIGNALS";

fn socket(directory: &Path, number: usize) -> PathBuf {
    directory.join(number.to_string())
}

/// The child's part: serves twice, and then waits for the signal that ends it.
#[test]
fn serves_twice() {
    let Some(directory) = env::var_os(DIRECTORY) else {
        return;
    };
    for number in [1, 2] {
        let address = Address::Unix(socket(directory.as_ref(), number));
        let server = Server::builder().listen(address).add_service(echo());
        let drained = server.serve(SECOND).unwrap();
        eprintln!("drained {number}: {}", drained.clean);
    }
    thread::sleep(TEST_TIMEOUT);
}

/// A process of [`serves_twice`]. Libtest keeps standard output.
fn start(directory: &Path) -> Process {
    let this = env::current_exe().unwrap();
    let variable = format!("{DIRECTORY}={}", directory.display());
    let test = [this.to_str().unwrap(), "--exact", "signals::serves_twice"];
    // This program may run under nohup, which ignores SIGHUP.
    let variable = ["--default-signal", variable.as_str()];
    let all = [&variable[..], &test[..], &["--nocapture"]].concat();
    Process::start("env", all)
}

/// Waits until it serves.
fn wait_for(directory: &Path, number: usize) {
    eventually(|| UnixStream::connect(socket(directory, number)).ok());
}

#[test]
fn the_first_signal_of_each_serve_drains_and_one_afterwards_ends_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let process = start(directory.path());
    for number in [1, 2] {
        wait_for(directory.path(), number);
        process.signal("-TERM");
        assert_eq!(process.error_line(), format!("drained {number}: true"));
    }
    process.signal("-TERM");
    // By the signal, and not by an exit.
    assert_eq!(process.end().code, None);
}

#[test]
fn other_signals_end_the_process_once_it_does_not_serve() {
    for signal in ["-HUP", "-USR1"] {
        let directory = tempfile::tempdir().unwrap();
        let process = start(directory.path());
        for number in [1, 2] {
            wait_for(directory.path(), number);
            process.signal(signal);
            process.signal("-INT");
            assert_eq!(process.error_line(), format!("drained {number}: true"));
        }
        process.signal(signal);
        assert_eq!(process.end().code, None, "{signal}");
    }
}
