//! What the client prints on standard output: responses as they come and a closing line, in three
//! formats. It must not decide what is a failure, nor write to standard error.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::logging::GO_TIME_STAMP;

/// What each response is printed as.
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

/// A response that is to be printed.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// What was asked for.
    pub id: i32,
    /// How many responses to the same request came before it.
    pub sequence: u64,
    /// Since it was asked for.
    pub elapsed: Duration,
    /// What came.
    pub result: &'a str,
}

/// What came of one fetch or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many responses.
    pub responses: u64,
    /// The bytes of their results.
    pub bytes: u64,
    /// How long the first response took; of several fetches the shortest.
    pub first: Option<Duration>,
}

impl Tally {
    /// Adds what came of another fetch.
    pub fn add(&mut self, other: Tally) {
        self.responses += other.responses;
        self.bytes += other.bytes;
        self.first = self.first.into_iter().chain(other.first).min();
    }
}

/// How it all ended.
#[derive(Clone, Debug)]
pub struct Summary {
    /// All that came.
    pub tally: Tally,
    /// From the start of the program.
    pub duration: Duration,
    /// The name of the status: that of the first failure, else `OK`.
    pub status: String,
}

/// Standard output, shared by all threads that fetch. Every method may block on whoever reads it.
pub struct Output {
    format: Format,
    quiet: bool,
    /// Keeps lines whole. Whoever leaves something in the buffer comes back for it at once: see
    /// [`Output::response`].
    writer: Mutex<BufWriter<Box<dyn Write + Send>>>,
}

impl Output {
    /// Standard output. `quiet` prints no responses, but a summary.
    ///
    /// # Errors
    /// When there is no standard output.
    pub fn stdout(format: Format, quiet: bool) -> io::Result<Output> {
        // `io::Stdout` would make every line a write of its own.
        let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Output::new(stdout, format, quiet))
    }

    /// The same, into `writer`.
    pub fn new(writer: impl Write + Send + 'static, format: Format, quiet: bool) -> Output {
        let writer: Box<dyn Write + Send> = Box::new(writer);
        Output {
            format,
            quiet,
            writer: Mutex::new(BufWriter::with_capacity(64 << 10, writer)),
        }
    }

    /// Prints a response. When `more` says that the caller has the next one already, it may stay
    /// in a buffer until then; the caller has to print that one, or to [`Output::flush`].
    ///
    /// # Errors
    /// Of the writer.
    pub fn response(&self, line: &Line<'_>, more: bool) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        let mut writer = self.lock();
        match self.format {
            Format::Tutorial => {
                write_stamp(&mut *writer)?;
                writeln!(writer, "Resp received: {}", line.result)?;
            }
            Format::Text => writeln!(writer, "{}", line.result)?,
            Format::Json => write_json(&mut *writer, line)?,
        }
        if more {
            return Ok(());
        }
        writer.flush()
    }

    /// Everything printed so far is out when this returns.
    ///
    /// # Errors
    /// Of the writer.
    pub fn flush(&self) -> io::Result<()> {
        self.lock().flush()
    }

    /// Prints what comes last: the summary when quiet, else the tutorial's last line if all went
    /// well.
    ///
    /// # Errors
    /// Of the writer.
    pub fn finish(&self, summary: &Summary) -> io::Result<()> {
        let mut writer = self.lock();
        match self.format {
            Format::Json if self.quiet => write_json_summary(&mut *writer, summary)?,
            _ if self.quiet => write_summary(&mut *writer, summary)?,
            Format::Tutorial if summary.status == "OK" => {
                write_stamp(&mut *writer)?;
                writeln!(writer, "finished")?;
            }
            _ => {}
        }
        writer.flush()
    }

    fn lock(&self) -> MutexGuard<'_, BufWriter<Box<dyn Write + Send>>> {
        self.writer.lock().unwrap_or_else(|e| e.into_inner())
    }
}

fn write_stamp(writer: &mut impl Write) -> io::Result<()> {
    write!(writer, "{} ", chrono::Local::now().format(GO_TIME_STAMP))
}

fn write_json(writer: &mut impl Write, line: &Line<'_>) -> io::Result<()> {
    let Line { id, sequence, .. } = line;
    let elapsed = milliseconds(line.elapsed);
    write!(
        writer,
        r#"{{"id":{id},"sequence":{sequence},"elapsed_ms":{elapsed},"result":"#
    )?;
    serde_json::to_writer(&mut *writer, line.result)?;
    writeln!(writer, "}}")
}

fn write_json_summary(writer: &mut impl Write, summary: &Summary) -> io::Result<()> {
    let Tally {
        responses, bytes, ..
    } = summary.tally;
    let first = match summary.tally.first {
        Some(first) => milliseconds(first).to_string(),
        None => "null".into(),
    };
    let duration = milliseconds(summary.duration);
    let status = &summary.status;
    writeln!(
        writer,
        r#"{{"responses":{responses},"bytes":{bytes},"first_ms":{first},"duration_ms":{duration},"status":"{status}"}}"#
    )
}

fn write_summary(writer: &mut impl Write, summary: &Summary) -> io::Result<()> {
    let tally = &summary.tally;
    let plural = if tally.responses == 1 { "" } else { "s" };
    write!(writer, "{} response{plural}, ", tally.responses)?;
    write!(writer, "{} bytes, ", tally.bytes)?;
    if let Some(first) = tally.first {
        write!(writer, "first after {:.1} ms, ", milliseconds(first))?;
    }
    writeln!(writer, "in {:.3} s", summary.duration.as_secs_f64())
}

/// To the microsecond: nothing here is exact beyond that.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// A writer that can be looked into: each element is one write.
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
        let tally = Tally {
            responses: 5,
            bytes: 105,
            first: Some(Duration::from_micros(1_200)),
        };
        Summary {
            tally,
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
    fn a_summary_of_nothing() {
        let nothing = || Summary {
            tally: Tally::default(),
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
    fn only_what_more_follows_may_wait_in_the_buffer() {
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

    #[test]
    fn tallies_add_up() {
        let mut all = Tally::default();
        all.add(Tally::default());
        assert_eq!(all.first, None);
        all.add(summary("OK").tally);
        let later = Tally {
            first: Some(Duration::from_secs(1)),
            ..summary("OK").tally
        };
        all.add(later);
        assert_eq!((all.responses, all.bytes), (10, 210));
        assert_eq!(all.first, Some(Duration::from_micros(1_200)));
    }
}
