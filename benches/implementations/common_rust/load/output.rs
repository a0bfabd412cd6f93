//! Standard output, shared by all threads that read responses.

use std::io::{self, BufWriter, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A line-buffered writer; lines of several threads never mix.
#[derive(Clone)]
pub struct Output {
    writer: Arc<Mutex<BufWriter<Box<dyn Write + Send>>>>,
}

impl Output {
    pub fn new(writer: impl Write + Send + 'static) -> Output {
        Output {
            writer: Arc::new(Mutex::new(BufWriter::new(Box::new(writer)))),
        }
    }

    /// Writes a response. The next [`Output::line`] reports a failure, so that the reader of a
    /// stream need not handle it. Blocks while standard output is full, even on a poll thread:
    /// printing is for checks, not for measurements.
    pub fn response(&self, id: i32, result: &str) {
        let _ = writeln!(self.lock(), "{id}\t{result}");
    }

    /// Writes a line of the protocol and flushes everything.
    ///
    /// # Errors
    /// Fails if a write fails.
    pub fn line(&self, line: &str) -> io::Result<()> {
        let mut writer = self.lock();
        writeln!(writer, "{line}")?;
        writer.flush()
    }

    fn lock(&self) -> MutexGuard<'_, BufWriter<Box<dyn Write + Send>>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
