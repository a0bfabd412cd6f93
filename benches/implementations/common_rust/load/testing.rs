//! For the tests of the load clients: runs a client and captures its output.

use std::io::{self, Write};
use std::sync::{mpsc, Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use clap::Parser;

use super::calls::Calls;
use super::flags::LoadArgs;
use super::protocol::run;

const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs `load` with these flags and this standard input; returns its result and standard output.
#[track_caller]
pub fn said(
    flags: &[&str],
    input: &'static str,
    start: impl Fn(&LoadArgs, &Arc<Calls>) -> io::Result<()> + Send + 'static,
) -> (Result<bool, String>, String) {
    let args = LoadArgs::parse_from([&["load"], flags].concat());
    let output = Buffer::default();
    let (ended, end) = mpsc::channel();
    let written = output.clone();
    thread::spawn(move || {
        let made = run(&args, input.as_bytes(), written, |calls| {
            start(&args, calls)
        });
        let _ = ended.send(made.map_err(|error| error.to_string()));
    });
    let made = end.recv_timeout(DEADLINE);
    let output = output.text();
    (
        made.unwrap_or_else(|error| panic!("{error} after {output:?}")),
        output,
    )
}
