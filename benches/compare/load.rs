//! A load client, or a server that only makes responses, in a process of its own, driven by the
//! protocol of `benches/README.md`: ready, go, summary, end. Every wait has a deadline and heeds an
//! interrupt.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use serde::de::DeserializeOwned;
use serde::Deserialize;

use crate::common::process::Process;
use crate::interrupt::Interrupt;

/// The interval between two checks for an interrupt.
const INTERRUPT_INTERVAL: Duration = Duration::from_millis(100);

/// The limit on connecting and warming up.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// The limit on the exit after the summary.
const EXIT_TIMEOUT: Duration = Duration::from_secs(10);

/// A load client's summary of its calls.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Summary {
    pub calls: u64,
    pub statuses: BTreeMap<String, u64>,
    pub messages: u64,
    pub bytes: u64,
    pub seconds: f64,
    #[serde(default)]
    pub first_us: Vec<i64>,
    #[serde(default)]
    pub gap_us: Vec<i64>,
    #[serde(default)]
    pub late_us: Vec<i64>,
}

/// A process that is warm and waits for `go`; killed when dropped.
pub struct Load {
    process: Process,
    stdin: ChildStdin,
    stderr: File,
    interrupt: Interrupt,
}

impl Load {
    /// Starts `program` with `flags` and waits until it is ready.
    pub fn start(
        core: Option<usize>,
        program: &[String],
        flags: &[String],
        interrupt: &Interrupt,
    ) -> Result<Load> {
        let stderr = tempfile::tempfile()?;
        let mut command = command(program, flags, &stderr)?;
        let mut process = Process::start(core, command.stdin(Stdio::piped()))?;
        let stdin = process.child.stdin.take().context("no pipe")?;
        let mut load = Load {
            process,
            stdin,
            stderr,
            interrupt: interrupt.clone(),
        };
        load.expect("ready", START_TIMEOUT)?;
        Ok(load)
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Starts the measured calls.
    pub fn go(&mut self) -> Result<()> {
        self.stdin
            .write_all(b"go\n")
            .context("it has closed its input")
    }

    /// Waits until each stalled call has its first response.
    pub fn stalled(&mut self) -> Result<()> {
        self.expect("stalled", START_TIMEOUT)
    }

    /// Waits at most `limit` for the summary, a line of JSON; lines before it go to `printed`.
    pub fn summary<Words: DeserializeOwned>(
        &mut self,
        limit: Duration,
        mut printed: impl FnMut(String),
    ) -> Result<Words> {
        let deadline = Instant::now() + limit;
        loop {
            let line = self.line(deadline, "no summary")?;
            if line.starts_with('{') {
                return serde_json::from_str(&line)
                    .with_context(|| format!("its summary is {line:.200}"));
            }
            printed(line);
        }
    }

    /// Closes the client's standard input and waits for its exit; fails unless the exit code is 0.
    pub fn end(self) -> Result<()> {
        let Load {
            mut process,
            stdin,
            stderr,
            ..
        } = self;
        drop(stdin);
        let status = process.wait(EXIT_TIMEOUT).context("after its summary")?;
        ensure!(
            status.success(),
            "it ended with {status}{}",
            last_words(stderr)
        );
        Ok(())
    }

    /// Waits for the line `word` and skips all lines before it.
    fn expect(&mut self, word: &str, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while self.line(deadline, &format!("not {word}"))? != word {}
        Ok(())
    }

    fn line(&mut self, deadline: Instant, otherwise: &str) -> Result<String> {
        loop {
            self.interrupt.check()?;
            let left = deadline.saturating_duration_since(Instant::now());
            match self.process.line(INTERRUPT_INTERVAL.min(left)) {
                Ok(Some(line)) => return Ok(line),
                Ok(None) if left.is_zero() => bail!("{otherwise} in time"),
                Ok(None) => {}
                Err(_) => {
                    let status = self
                        .process
                        .wait(EXIT_TIMEOUT)
                        .context("its output has ended")?;
                    bail!(
                        "{otherwise}: it ended with {status}{}",
                        last_words(self.stderr.try_clone()?)
                    );
                }
            }
        }
    }
}

/// The command of an implementation's program, with standard error in `stderr`.
pub fn command(program: &[String], flags: &[String], stderr: &File) -> Result<Command> {
    let (program, fixed) = program.split_first().context("an empty command")?;
    let mut command = Command::new(program);
    command.args(fixed).args(flags).stderr(stderr.try_clone()?);
    Ok(command)
}

/// The most useful line of a program's standard error, as the end of an error message: the first
/// line that starts with `error`, or the last one.
pub fn last_words(mut stderr: File) -> String {
    let mut text = Vec::new();
    let read = stderr
        .seek(SeekFrom::Start(0))
        .and_then(|_| stderr.read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let error = lines
        .clone()
        .find(|line| line.to_lowercase().starts_with("error"));
    match error.or_else(|| lines.next_back()) {
        Some(line) if read.is_ok() => format!(": {:.300}", line.trim()),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Vec<String> {
        ["sh", "-c", script].map(String::from).to_vec()
    }

    fn summary_of(script: &str) -> Result<(Summary, Vec<String>)> {
        let mut load = Load::start(None, &shell(script), &[], &Interrupt::default())?;
        let mut printed = Vec::new();
        load.go()?;
        let summary = load.summary(Duration::from_secs(10), |line| printed.push(line))?;
        load.end()?;
        Ok((summary, printed))
    }

    const SUMMARY: &str = r#"{"calls":2,"statuses":{"OK":2},"messages":10,"bytes":200,"seconds":0.5,"late_us":[-3,4]}"#;

    #[test]
    fn a_client_that_keeps_to_the_protocol() {
        let script = format!("echo ready; read go; echo 1; echo '{SUMMARY}'; read end; exit 0");
        let (summary, printed) = summary_of(&script).expect("a summary");
        assert_eq!(summary.messages, 10);
        assert_eq!(summary.late_us, [-3, 4]);
        assert_eq!(printed, ["1"]);
    }

    #[test]
    fn a_client_that_fails_says_why() {
        let error =
            summary_of("echo ready; read go; echo 'no route' >&2; exit 3").expect_err("it failed");
        let text = format!("{error:#}");
        assert!(text.contains("exit status: 3: no route"), "{text}");
        let script = format!("echo ready; read go; echo '{SUMMARY}'; read end; exit 1");
        assert!(summary_of(&script).is_err(), "exit status 1");
        assert!(summary_of("exit 0").is_err(), "never ready");
    }

    #[test]
    fn a_client_that_hangs_times_out() {
        let mut load = Load::start(
            None,
            &shell("echo ready; exec sleep 60"),
            &[],
            &Interrupt::default(),
        )
        .expect("it is ready");
        let error = load
            .summary::<Summary>(Duration::from_millis(50), |_| {})
            .expect_err("nothing comes");
        assert!(error.to_string().contains("no summary in time"), "{error}");
    }
}
