//! The client's standard error: failures and warnings, in colour on a terminal, and a counter of
//! responses on a terminal that does not show them. [`super::output`] is standard output.

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

use super::visible;

const FAILURE: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();

/// Interval between two draws of the counter.
const DRAW_INTERVAL: Duration = Duration::from_millis(100);

/// Responses that a call counts locally before it adds them to the shared counter.
const BATCH: u64 = 256;

/// Standard error, shared by all threads that fetch.
pub(super) struct Terminal {
    colours: bool,
    counter: Option<(ProgressBar, Arc<Counted>)>,
}

/// The numbers that the counter shows.
#[derive(Default)]
struct Counted {
    responses: AtomicU64,
    bytes: AtomicU64,
    ids: AtomicU64,
}

impl Terminal {
    /// Standard error of a fetch of `ids` ids. The counter runs if standard error is a terminal and
    /// responses are not printed (`quiet`) or go to a file. It does not run beside a pipe, since the
    /// pipe's reader may print to the same terminal.
    pub(super) fn stderr(quiet: bool, ids: usize) -> Terminal {
        let terminal =
            io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|t| t != "dumb");
        Terminal {
            counter: (terminal && (quiet || stdout_is_a_file())).then(|| counter(ids)),
            ..Terminal::without_counter()
        }
    }

    /// Standard error without a counter.
    pub(super) fn without_counter() -> Terminal {
        Terminal {
            colours: anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never,
            counter: None,
        }
    }

    /// Prints a failure.
    pub(super) fn failure(&self, text: &str) {
        self.line(FAILURE, "client:", text);
    }

    /// Prints a warning.
    pub(super) fn warning(&self, text: &str) {
        self.line(WARNING, "client: warning:", text);
    }

    /// Prints one line in one write, so that lines of several threads do not mix.
    fn line(&self, style: Style, word: &str, text: &str) {
        let line = line(self.colours, style, word, text);
        // If standard error is closed too, the exit code remains.
        let write = || drop(io::stderr().write_all(line.as_bytes()));
        match &self.counter {
            Some((bar, _)) => bar.suspend(write),
            None => write(),
        }
    }

    /// Starts to count the responses to one id.
    pub(super) fn count(&self) -> Count<'_> {
        Count {
            counted: self.counter.as_ref().map(|(_, counted)| &**counted),
            responses: 0,
            bytes: 0,
        }
    }

    /// Removes the counter.
    pub(super) fn clear(&self) {
        if let Some((bar, _)) = &self.counter {
            bar.finish_and_clear();
        }
    }
}

/// Counts the responses to one id; the id counts as done when this is dropped.
pub(super) struct Count<'a> {
    counted: Option<&'a Counted>,
    responses: u64,
    bytes: u64,
}

impl Count<'_> {
    /// Counts a response of `bytes` bytes; `more` if the next one has already arrived.
    pub(super) fn add(&mut self, bytes: usize, more: bool) {
        if self.counted.is_none() {
            return;
        }
        self.responses += 1;
        self.bytes += bytes as u64;
        if !more || self.responses == BATCH {
            self.publish();
        }
    }

    fn publish(&mut self) {
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
        self.publish();
        if let Some(counted) = self.counted {
            counted.ids.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A server's message is cleaned in a pipe and a file too: each failure is one line.
fn line(colours: bool, style: Style, word: &str, text: &str) -> String {
    let text = visible::line(text);
    match colours {
        true => format!("{style}{word}{style:#} {text}\n"),
        false => format!("{word} {text}\n"),
    }
}

/// True for `/dev/null` too.
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
                // The writer is a String: it cannot fail.
                let _ = out.write_str(&shown.text(ids));
            },
        );
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style);
    bar.enable_steady_tick(DRAW_INTERVAL);
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
    fn a_message_is_one_line_and_does_not_drive_the_terminal() {
        let message = "id 1: INTERNAL: \u{1b}[2Ja\r\nclient: forged\u{9b}m";
        let shown = r"id 1: INTERNAL: \u{1b}[2Ja\r\nclient: forged\u{9b}m";
        assert_eq!(
            line(false, FAILURE, "client:", message),
            format!("client: {shown}\n")
        );
        assert_eq!(
            line(true, FAILURE, "client:", message),
            format!("{FAILURE}client:{FAILURE:#} {shown}\n")
        );
    }

    #[test]
    fn the_counter_shows_responses_bytes_and_ids() {
        let counted = Arc::new(Counted::default());
        assert_eq!(counted.text(1), "0 responses · 0 B");
        let mut count = Count {
            counted: Some(&counted),
            responses: 0,
            bytes: 0,
        };
        count.add(100, false);
        assert_eq!(counted.text(1), "1 response · 100 B");
        // A burst is added by the batch, its end at once.
        for _ in 1..12_345 {
            count.add(100, true);
        }
        assert_eq!(counted.text(1), "12,289 responses · 1.23 MB");
        drop(count);
        assert_eq!(counted.text(10), "12,345 responses · 1.23 MB · 1 of 10 ids");
    }
}
