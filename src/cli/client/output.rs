//! The client's standard output: responses as they come and a last line, in three formats. It must not
//! decide what is a failure, nor write to standard error.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard};

use super::record::{milliseconds, Line, Summary};
use super::{json, visible};
use crate::logging::GO_TIME_STAMP;

/// The format of printed responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// The tutorial's lines: `2020/11/10 22:26:11 Resp received: Request #0 For Id:1`
    #[default]
    Tutorial,
    /// The result alone
    Text,
    /// One JSON object a line
    Json,
}

/// Standard output, shared by all threads that fetch. Every method may block on the reader of a pipe.
pub(super) struct Output {
    format: Format,
    quiet: bool,
    /// A terminal gets escapes for what would drive it; a pipe or a file gets responses unchanged.
    is_terminal: bool,
    /// The lock keeps lines whole. A caller that leaves a line in the buffer flushes it soon: see
    /// [`Output::response`].
    writer: Mutex<BufWriter<Box<dyn Write + Send>>>,
}

impl Output {
    /// Standard output. With `quiet` it gets a summary instead of responses.
    pub(super) fn stdout(format: Format, quiet: bool) -> io::Result<Output> {
        // `io::Stdout` would flush every line by itself.
        let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Output {
            is_terminal: stdout.is_terminal(),
            ..Output::new(stdout, format, quiet)
        })
    }

    /// An output to `writer`, which is not a terminal.
    pub(super) fn new(writer: impl Write + Send + 'static, format: Format, quiet: bool) -> Output {
        let writer: Box<dyn Write + Send> = Box::new(writer);
        Output {
            format,
            quiet,
            is_terminal: false,
            writer: Mutex::new(BufWriter::with_capacity(64 << 10, writer)),
        }
    }

    /// Prints a response. If the caller already has the next one (`more`), the line may stay in the
    /// buffer; the caller must then print that one or call [`Output::flush`].
    pub(super) fn response(&self, line: &Line<'_>, more: bool) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        let mut writer = self.lock();
        match self.format {
            Format::Tutorial => {
                write_stamp(&mut *writer)?;
                writeln!(writer, "Resp received: {}", self.shown(line.result))?;
            }
            Format::Text => writeln!(writer, "{}", self.shown(line.result))?,
            Format::Json => json::write_response(&mut *writer, line)?,
        }
        if more {
            return Ok(());
        }
        writer.flush()
    }

    /// Writes all buffered lines before it returns.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.lock().flush()
    }

    /// Prints the last line: the summary if quiet, else the tutorial's `finished` if all calls ended
    /// with OK.
    pub(super) fn finish(&self, summary: &Summary) -> io::Result<()> {
        let mut writer = self.lock();
        match self.format {
            Format::Json if self.quiet => json::write_summary(&mut *writer, summary)?,
            _ if self.quiet => write_summary(&mut *writer, summary)?,
            Format::Tutorial if summary.status == "OK" => {
                write_stamp(&mut *writer)?;
                writeln!(writer, "finished")?;
            }
            _ => {}
        }
        writer.flush()
    }

    fn shown<'a>(&self, result: &'a str) -> Cow<'a, str> {
        match self.is_terminal {
            true => visible::lines(result),
            false => result.into(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BufWriter<Box<dyn Write + Send>>> {
        self.writer.lock().unwrap_or_else(|e| e.into_inner())
    }
}

fn write_stamp(writer: &mut impl Write) -> io::Result<()> {
    write!(writer, "{} ", chrono::Local::now().format(GO_TIME_STAMP))
}

fn write_summary(writer: &mut impl Write, summary: &Summary) -> io::Result<()> {
    let totals = &summary.totals;
    let plural = if totals.responses == 1 { "" } else { "s" };
    write!(writer, "{} response{plural}, ", totals.responses)?;
    write!(writer, "{} bytes, ", totals.bytes)?;
    if let Some(first) = totals.first {
        write!(writer, "first after {:.1} ms, ", milliseconds(first))?;
    }
    writeln!(writer, "in {:.3} s", summary.duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::record::Totals;
    use std::sync::Arc;
    use std::time::Duration;

    /// A writer that records each write.
    #[derive(Clone, Default)]
    struct Writes(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Writes {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().concat()).unwrap()
        }

        fn count(&self) -> usize {
            self.0.lock().unwrap().len()
        }
    }

    fn output(format: Format, quiet: bool) -> (Output, Writes) {
        let writes = Writes::default();
        (Output::new(writes.clone(), format, quiet), writes)
    }

    fn line(result: &str) -> Line<'_> {
        Line {
            id: -7,
            sequence: 2,
            elapsed: Duration::from_nanos(12_345_499),
            result,
        }
    }

    fn summary(status: &str) -> Summary {
        let totals = Totals {
            responses: 5,
            bytes: 105,
            first: Some(Duration::from_micros(1_200)),
        };
        Summary {
            totals,
            duration: Duration::from_micros(4_002_100),
            status: status.into(),
        }
    }

    #[track_caller]
    fn assert_stamped(line: &str, rest: &str) {
        let pattern = "dddd/dd/dd dd:dd:dd ";
        let (stamp, text) = line.split_at(pattern.len());
        let shape: String = stamp
            .chars()
            .map(|c| if c.is_ascii_digit() { 'd' } else { c })
            .collect();
        assert_eq!((shape.as_str(), text), (pattern, rest));
    }

    #[test]
    fn tutorial() {
        let (output, writes) = output(Format::Tutorial, false);
        output.response(&line("hello"), false).unwrap();
        assert_stamped(&writes.text(), "Resp received: hello\n");
        output.finish(&summary("OK")).unwrap();
        let text = writes.text();
        assert_stamped(text.lines().nth(1).unwrap(), "finished");
    }

    #[test]
    fn a_failure_is_not_finished() {
        let (output, writes) = output(Format::Tutorial, false);
        output.finish(&summary("INTERNAL")).unwrap();
        assert_eq!(writes.text(), "");
    }

    #[test]
    fn text() {
        let (output, writes) = output(Format::Text, false);
        output.response(&line("hello"), false).unwrap();
        output.response(&line(""), false).unwrap();
        output.finish(&summary("OK")).unwrap();
        assert_eq!(writes.text(), "hello\n\n");
    }

    #[test]
    fn json() {
        let (output, writes) = output(Format::Json, false);
        output.response(&line("a\"b\\\n\u{1}ä"), false).unwrap();
        output.finish(&summary("OK")).unwrap();
        assert_eq!(
            writes.text(),
            concat!(
                r#"{"id":-7,"sequence":2,"elapsed_ms":12.345,"result":"a\"b\\\n\u0001ä"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn responses_do_not_drive_a_terminal() {
        let hostile = "\u{1b}[2J\u{9b}2J\rforged\u{202e}\tA\nB";
        let shown = "\\u{1b}[2J\\u{9b}2J\\rforged\\u{202e}\tA\nB\n";
        for (format, prefix) in [(Format::Text, ""), (Format::Tutorial, "Resp received: ")] {
            let (output, writes) = output(format, false);
            let output = Output {
                is_terminal: true,
                ..output
            };
            output.response(&line(hostile), false).unwrap();
            let text = writes.text();
            assert!(text.ends_with(&format!("{prefix}{shown}")), "{text}");
        }
    }

    #[test]
    fn a_pipe_or_a_file_gets_responses_unchanged() {
        let hostile = "\0\u{1b}[2J\u{9b}2J\r\u{7f}\u{202e}";
        let (output, writes) = output(Format::Text, false);
        output.response(&line(hostile), false).unwrap();
        assert_eq!(writes.text(), format!("{hostile}\n"));
    }

    #[test]
    fn json_drives_no_terminal_wherever_it_goes() {
        let (output, writes) = output(Format::Json, false);
        output
            .response(&line("\u{1b}\u{7f}\u{9b}2J\u{202e}"), false)
            .unwrap();
        let wanted = r#""result":"\u001b\u007f\u009b2J\u202e"}"#;
        let text = writes.text();
        assert!(text.ends_with(&format!("{wanted}\n")), "{text}");
    }

    #[test]
    fn quiet_prints_a_summary_alone() {
        for format in [Format::Tutorial, Format::Text] {
            let (output, writes) = output(format, true);
            output.response(&line("hello"), false).unwrap();
            output.finish(&summary("OK")).unwrap();
            let wanted = "5 responses, 105 bytes, first after 1.2 ms, in 4.002 s\n";
            assert_eq!(writes.text(), wanted);
        }
        let (output, writes) = output(Format::Json, true);
        output.response(&line("hello"), false).unwrap();
        output.finish(&summary("UNAVAILABLE")).unwrap();
        let wanted = r#"{"responses":5,"bytes":105,"first_ms":1.2,"duration_ms":4002.1,"status":"UNAVAILABLE"}"#;
        assert_eq!(writes.text().trim_end(), wanted);
    }

    #[test]
    fn a_summary_without_responses() {
        let nothing = || Summary {
            totals: Totals::default(),
            ..summary("OK")
        };
        let (quiet, writes) = output(Format::Text, true);
        quiet.finish(&nothing()).unwrap();
        assert_eq!(writes.text(), "0 responses, 0 bytes, in 4.002 s\n");
        let (quiet, writes) = output(Format::Json, true);
        quiet.finish(&nothing()).unwrap();
        assert!(writes.text().contains(r#""first_ms":null,"#));
    }

    #[test]
    fn only_a_response_before_another_stays_in_the_buffer() {
        let (output, writes) = output(Format::Text, false);
        output.response(&line("1"), true).unwrap();
        output.response(&line("2"), true).unwrap();
        assert_eq!(writes.count(), 0);
        output.response(&line("3"), false).unwrap();
        assert_eq!((writes.count(), writes.text().as_str()), (1, "1\n2\n3\n"));
        output.response(&line("4"), true).unwrap();
        output.flush().unwrap();
        assert_eq!(writes.text(), "1\n2\n3\n4\n");
    }
}
