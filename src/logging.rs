//! Logs: the tutorial's lines with Go's time stamp, or a line for each call as text or JSON; on
//! standard error, written by a thread of their own, so that nobody who logs waits for whoever
//! reads. What is in the lines is said where they are logged.

use std::fmt;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::Layer;

use crate::telemetry::CALLS;
use crate::tutorial::TUTORIAL;

/// The time stamp of Go's `log` package, local time.
pub const GO_TIME_STAMP: &str = "%Y/%m/%d %H:%M:%S";

/// Lines that may wait to be written: a second or two of 10,000 streams with the tutorial's
/// defaults. Each place for one takes 32 bytes from the start.
pub const BUFFERED_LINES: usize = 16_384;

/// What log lines look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// The tutorial's: `2020/11/10 22:26:09 start server`.
    #[default]
    Tutorial,
    /// A line for each call, with level and fields: `… INFO fanstream::calls: call ended call=1 …`.
    Text,
    /// The same as one JSON object a line.
    Json,
}

/// Starts logging for the whole process. Lines are written until the guard is dropped; when
/// standard error falls behind by [`BUFFERED_LINES`], further ones are lost.
#[must_use = "dropping the guard ends the log"]
pub fn start(format: LogFormat, level: LevelFilter) -> WorkerGuard {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(BUFFERED_LINES)
        .finish(std::io::stderr());
    let ansi = AutoStream::choice(&std::io::stderr()) != ColorChoice::Never;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(ansi);
    let lines = match format {
        LogFormat::Tutorial => lines.event_format(GoFormat).boxed(),
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(what_is_logged(format, level)))
        .init();
    redirect_c_core(if level >= LevelFilter::DEBUG {
        log::LevelFilter::Debug
    } else {
        log::LevelFilter::Off
    });
    guard
}

/// Each format has its own lines for calls. A line that is not logged costs a look at a flag.
fn what_is_logged(format: LogFormat, level: LevelFilter) -> Targets {
    let all = Targets::new().with_default(level);
    match format {
        LogFormat::Tutorial => all.with_target(CALLS, LevelFilter::OFF),
        // Those who ask for debugging get the tutorial's lines as well.
        LogFormat::Text | LogFormat::Json if level < LevelFilter::DEBUG => {
            all.with_target(TUTORIAL, LevelFilter::OFF)
        }
        LogFormat::Text | LogFormat::Json => all,
    }
}

/// Lets the C-core log through the `log` crate, up to `level`, instead of on standard error.
///
/// Below debug it is better off: it calls an error much that is none, and what matters of it is in
/// the statuses and errors of the library.
pub fn redirect_c_core(level: log::LevelFilter) {
    // grpcio looks at the level of the moment, and takes "off" for the C-core's own log.
    log::set_max_level(level.max(log::LevelFilter::Error));
    grpcio::redirect_log();
    log::set_max_level(level);
}

/// The message behind Go's time stamp; the level only where it is not the usual one.
struct GoFormat;

impl<S, N> FormatEvent<S, N> for GoFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(writer, "{} ", chrono::Local::now().format(GO_TIME_STAMP))?;
        match *event.metadata().level() {
            Level::ERROR => write_word(&mut writer, AnsiColor::Red, "error:")?,
            Level::WARN => write_word(&mut writer, AnsiColor::Yellow, "warning:")?,
            _ => {}
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        writeln!(writer, "{}", message.0)
    }
}

fn write_word(writer: &mut Writer<'_>, colour: AnsiColor, word: &str) -> fmt::Result {
    let style = match writer.has_ansi_escapes() {
        true => colour.on_default().bold(),
        false => Style::new(),
    };
    write!(writer, "{style}{word}{style:#} ")
}

/// Only the message; its fields say the same for machines.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            use fmt::Write;
            let _ = write!(self.0, "{value:?}");
        }
    }
}
