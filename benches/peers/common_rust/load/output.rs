//! Standard output, shared by all threads that read responses.

use std::io::{self, BufWriter, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Lines of output, each in one piece.
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

    /// A response, in the order in which they come. What cannot be written is found by the next
    /// [`Output::line`], so that the reader of a stream need not care. Blocks while standard output
    /// is full, even on a poll thread: printing is for checks, not for figures.
    pub fn response(&self, id: i32, result: &str) {
        let _ = writeln!(self.lock(), "{id}\t{result}");
    }

    /// A line of the protocol; at once, with all that came before it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn line(&self, line: &str) -> io::Result<()> {
        let mut writer = self.lock();
        writeln!(writer, "{line}")?;
        writer.flush()
    }

    fn lock(&self) -> MutexGuard<'_, BufWriter<Box<dyn Write + Send>>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
