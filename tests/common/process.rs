//! A program under test: its lines as they arrive, its exit code, and a deadline on every wait.
//! Dropping it kills it.

#![allow(dead_code)] // each test program uses its part of it

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

/// The deadline of every wait: a test that reaches it hangs, even on a busy machine.
pub const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A program that runs.
pub struct Process {
    child: Child,
    output: Receiver<String>,
    errors: Receiver<String>,
}

/// The exit code and the unread output of a program that has ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    /// The lines that were not read before.
    pub output: Vec<String>,
    pub errors: Vec<String>,
}

impl Process {
    pub fn start<S: AsRef<OsStr>>(
        program: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> Process {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Process {
            output: lines(child.stdout.take().unwrap()),
            errors: lines(child.stderr.take().unwrap()),
            child,
        }
    }

    pub fn id(&self) -> i32 {
        self.child.id().try_into().unwrap()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Sends it a signal, such as `-TERM`.
    #[track_caller]
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// The next line of standard output.
    #[track_caller]
    pub fn line(&self) -> String {
        self.output.recv_timeout(TEST_TIMEOUT).unwrap()
    }

    /// The next line of standard error.
    #[track_caller]
    pub fn error_line(&self) -> String {
        self.errors.recv_timeout(TEST_TIMEOUT).unwrap()
    }

    /// Closes the reading end of standard output after the next line.
    pub fn close_output(&mut self) {
        let (_, closed) = crossbeam_channel::bounded(0);
        self.output = closed;
    }

    #[track_caller]
    pub fn end(mut self) -> Ended {
        Ended {
            output: rest(&self.output),
            errors: rest(&self.errors),
            code: eventually(|| self.child.try_wait().unwrap()).code(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `poll` returns a value.
#[track_caller]
pub fn eventually<T>(mut poll: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = poll() {
            return value;
        }
        assert!(
            began.elapsed() < TEST_TIMEOUT,
            "not within {TEST_TIMEOUT:?}"
        );
        thread::sleep(Duration::from_millis(1));
    }
}

/// The lines of a pipe, which is closed when the receiver is dropped.
fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = crossbeam_channel::unbounded();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            if sender.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    receiver
}

#[track_caller]
fn rest(lines: &Receiver<String>) -> Vec<String> {
    let mut rest = Vec::new();
    loop {
        match lines.recv_timeout(TEST_TIMEOUT) {
            Ok(line) => rest.push(line),
            Err(RecvTimeoutError::Disconnected) => return rest,
            Err(RecvTimeoutError::Timeout) => {
                panic!("no end within {TEST_TIMEOUT:?}; so far: {rest:?}")
            }
        }
    }
}
