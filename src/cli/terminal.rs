//! What the client tells people on standard error: failures and warnings, in colour where that is
//! wanted; and, on a terminal that shows no responses, how many have come. Standard output is the
//! business of [`super::output`].

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use indicatif::{
    DecimalBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle,
};

const FAILURE: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// How often the counter is drawn.
const DRAWN: Duration = Duration::from_millis(100);

/// Responses that a fetch counts for itself before the counter learns of them, however fast they
/// come.
const BATCH: u64 = 256;

/// Standard error, shared by all threads that fetch.
pub struct Terminal {
    colours: bool,
    counter: Option<(ProgressBar, Arc<Counted>)>,
}

/// What the counter shows.
#[derive(Default)]
struct Counted {
    responses: AtomicU64,
    bytes: AtomicU64,
    ids: AtomicU64,
}

impl Terminal {
    /// Standard error as it is. The counter runs if it is a terminal, and responses to so many
    /// `ids` are not printed (`quiet`) or go to a file; not beside a pipe, whose reader may well
    /// print to the same terminal.
    pub fn stderr(quiet: bool, ids: usize) -> Terminal {
        let able =
            io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|t| t != "dumb");
        Terminal {
            counter: (able && (quiet || stdout_is_a_file())).then(|| counter(ids)),
            ..Terminal::without_counter()
        }
    }

    /// Standard error, where there is nothing to count.
    pub fn without_counter() -> Terminal {
        Terminal {
            colours: anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never,
            counter: None,
        }
    }

    /// Tells of a failure.
    pub fn failure(&self, text: &str) {
        self.line(FAILURE, "client:", text);
    }

    /// Tells of what is allowed, but should not be.
    pub fn warning(&self, text: &str) {
        self.line(WARNING, "client: warning:", text);
    }

    /// One line, whatever the server put into its message; in one write, so that those of several
    /// threads do not mix.
    fn line(&self, style: Style, word: &str, text: &str) {
        let text = text.replace(char::is_control, " ");
        let line = match self.colours {
            true => format!("{style}{word}{style:#} {text}\n"),
            false => format!("{word} {text}\n"),
        };
        // If standard error is gone too, the exit code still tells.
        let write = || drop(io::stderr().write_all(line.as_bytes()));
        match &self.counter {
            Some((bar, _)) => bar.suspend(write),
            None => write(),
        }
    }

    /// Counts what comes of one id.
    pub fn count(&self) -> Count<'_> {
        Count {
            counted: self.counter.as_ref().map(|(_, counted)| &**counted),
            responses: 0,
            bytes: 0,
        }
    }

    /// Removes the counter for good.
    pub fn clear(&self) {
        if let Some((bar, _)) = &self.counter {
            bar.finish_and_clear();
        }
    }
}

/// Counts what comes of one id, until it is dropped.
pub struct Count<'a> {
    counted: Option<&'a Counted>,
    responses: u64,
    bytes: u64,
}

impl Count<'_> {
    /// One response more, of so many bytes; `more` says that the next one is there already.
    pub fn add(&mut self, bytes: usize, more: bool) {
        if self.counted.is_none() {
            return;
        }
        self.responses += 1;
        self.bytes += bytes as u64;
        if !more || self.responses == BATCH {
            self.pass_on();
        }
    }

    fn pass_on(&mut self) {
        if let Some(counted) = self.counted {
            let Count {
                responses, bytes, ..
            } = self;
            counted
                .responses
                .fetch_add(std::mem::take(responses), Ordering::Relaxed);
            counted
                .bytes
                .fetch_add(std::mem::take(bytes), Ordering::Relaxed);
        }
    }
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.pass_on();
        if let Some(counted) = self.counted {
            counted.ids.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// True also for `/dev/null`.
fn stdout_is_a_file() -> bool {
    let stdout = io::stdout();
    if stdout.is_terminal() {
        return false;
    }
    let kind = stdout
        .as_fd()
        .try_clone_to_owned()
        .and_then(|fd| File::from(fd).metadata());
    kind.is_ok_and(|of| !of.file_type().is_fifo() && !of.file_type().is_socket())
}

fn counter(ids: usize) -> (ProgressBar, Arc<Counted>) {
    let counted = Arc::new(Counted::default());
    let shown = counted.clone();
    let style = ProgressStyle::with_template("{counted}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .with_key(
            "counted",
            move |_: &ProgressState, out: &mut dyn fmt::Write| {
                // A String cannot refuse it.
                let _ = out.write_str(&shown.text(ids));
            },
        );
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style);
    bar.enable_steady_tick(DRAWN);
    (bar, counted)
}

impl Counted {
    fn text(&self, ids: usize) -> String {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let responses = of(&self.responses);
        let plural = if responses == 1 { "" } else { "s" };
        let bytes = DecimalBytes(of(&self.bytes));
        let mut text = format!("{} response{plural} · {bytes}", HumanCount(responses));
        if ids > 1 {
            let done = HumanCount(of(&self.ids));
            text += &format!(" · {done} of {} ids", HumanCount(ids as u64));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_counter_says() {
        let counted = Arc::new(Counted::default());
        assert_eq!(counted.text(1), "0 responses · 0 B");
        let mut count = Count {
            counted: Some(&counted),
            responses: 0,
            bytes: 0,
        };
        count.add(100, false);
        assert_eq!(counted.text(1), "1 response · 100 B");
        // The counter learns of a burst by the batch, and of its end at once.
        for _ in 1..12_345 {
            count.add(100, true);
        }
        assert_eq!(counted.text(1), "12,289 responses · 1.23 MB");
        drop(count);
        assert_eq!(counted.text(10), "12,345 responses · 1.23 MB · 1 of 10 ids");
    }
}
