//! Starts the log on standard error: the tutorial's lines with Go's time stamp, or a line per call
//! as text or JSON. A separate thread writes, so a slow reader never blocks the process. It must
//! not know the content of the lines.

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

use crate::c_core::redirect_log;
use crate::sources::SOURCES;
use crate::telemetry::CALLS;
use crate::tutorial::TUTORIAL;

/// Format of the time stamp of Go's `log` package, in local time.
pub const GO_TIME_STAMP: &str = "%Y/%m/%d %H:%M:%S";

/// Maximum lines in the queue: one or two seconds of 10,000 streams with the tutorial's defaults.
/// Each place occupies 32 bytes from the start.
pub const BUFFERED_LINES: usize = 16_384;

/// Format of log lines.
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

/// Starts logging for the whole process, until the guard is dropped. Lines are lost while
/// [`BUFFERED_LINES`] of them wait for standard error. Never blocks.
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
        .with(lines.with_filter(enabled_targets(format, level)))
        .init();
    redirect_c_core(if level >= LevelFilter::DEBUG {
        log::LevelFilter::Debug
    } else {
        log::LevelFilter::Off
    });
    guard
}

/// Selects the targets of a format. A disabled line costs only the check of a flag.
fn enabled_targets(format: LogFormat, level: LevelFilter) -> Targets {
    let all = Targets::new().with_default(level);
    match format {
        LogFormat::Tutorial => all.with_target(CALLS, LevelFilter::OFF),
        // At level debug, the tutorial's lines are logged too.
        LogFormat::Text | LogFormat::Json if level < LevelFilter::DEBUG => all
            .with_target(TUTORIAL, LevelFilter::OFF)
            .with_target(SOURCES, LevelFilter::OFF),
        LogFormat::Text | LogFormat::Json => all,
    }
}

/// Redirects the C-core's log from standard error to this one, where its errors have level debug,
/// and limits the lines of other libraries, of the `log` crate, to `level`.
///
/// The C-core logs many harmless events as errors. Statuses and the library's errors contain the
/// relevant ones.
pub fn redirect_c_core(level: log::LevelFilter) {
    redirect_log();
    log::set_max_level(level);
}

/// Go's time stamp and the message. Only errors and warnings show their level.
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

/// Extracts the message of an event. The other fields repeat its content for machines.
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            use fmt::Write;
            let _ = write!(self.0, "{value:?}");
        }
    }
}
