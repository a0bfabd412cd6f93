//! The protocol of a load client with its caller, from the warm-up to the exit code. It lets the
//! caller measure CPU time and memory without the client's start-up and exit. It makes no call.

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::sync::Arc;

use super::calls::Calls;
use super::flags::LoadArgs;
use super::output::Output;

/// Runs on this process's standard input and output and returns the exit code. `start` is as in
/// [`run`].
pub fn main(args: &LoadArgs, start: impl FnMut(&Arc<Calls>) -> io::Result<()>) -> ExitCode {
    match run(args, io::stdin().lock(), io::stdout(), start) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            // If standard error is closed too, the exit code still reports the failure.
            let _ = writeln!(io::stderr(), "load: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs the protocol and blocks until `input` ends. `start` starts the threads or tasks that make
/// the calls, [`Calls::in_flight`] at the same time, and need not wait for them. Returns true if
/// all calls ended with OK.
///
/// # Errors
/// Fails if the caller is gone or `start` fails.
pub fn run(
    args: &LoadArgs,
    mut input: impl BufRead,
    output: impl Write + Send + 'static,
    mut start: impl FnMut(&Arc<Calls>) -> io::Result<()>,
) -> Result<bool, Box<dyn Error>> {
    let output = Output::new(output);
    let mut make = |calls: Calls| -> io::Result<Arc<Calls>> {
        let calls = Arc::new(calls);
        start(&calls)?;
        calls.wait();
        Ok(calls)
    };

    make(Calls::warm_up(args))?;
    output.line("ready")?;
    if input.read_line(&mut String::new())? == 0 {
        return Err("standard input ended before the line that starts the calls".into());
    }
    let calls = make(Calls::measured(args, args.print.then(|| output.clone())))?;
    if args.stall {
        output.line("stalled")?;
        await_end(&mut input)?;
        calls.release();
    }
    let summary = calls.summary();
    output.line(&serde_json::to_string(&summary)?)?;
    await_end(&mut input)?;
    Ok(summary.all_ok())
}

fn await_end(input: &mut impl BufRead) -> io::Result<()> {
    io::copy(input, &mut io::sink()).map(drop)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::super::testing;

    /// The output of a run whose calls each get a response and end with `code`.
    #[track_caller]
    fn said(flags: &[&str], input: &'static str, code: i32) -> (Result<bool, String>, String) {
        let flags = [&["--addr", "127.0.0.1:1"], flags].concat();
        testing::said(&flags, input, move |_, calls| {
            let calls = calls.clone();
            thread::spawn(move || {
                while let Some(turn) = calls.next() {
                    let text = format!("text {}", turn.id());
                    let mut call = turn.start();
                    if call.response(&text) {
                        call.hold(());
                    } else {
                        call.end(code);
                    }
                }
            });
            Ok(())
        })
    }

    #[test]
    fn ready_comes_before_the_calls_and_the_summary_after() {
        let (made, output) = said(&["--calls=2", "--print", "--warm-up=5"], "\n", 0);
        assert_eq!(made, Ok(true));
        let (lines, summary) = output.split_at(output.find('{').unwrap());
        assert_eq!(lines, "ready\n1\ttext 1\n2\ttext 2\n");
        assert!(summary.contains(r#""statuses":{"OK":2},"messages":2,"bytes":12"#));
        assert!(summary.ends_with("}\n"));
    }

    #[test]
    fn other_statuses_than_ok_are_told() {
        let (made, output) = said(&[], "\n", 8);
        assert_eq!(made, Ok(false));
        assert!(output.contains(r#""RESOURCE_EXHAUSTED":1"#));
    }

    #[test]
    fn stalled_is_said_before_the_summary() {
        let (made, output) = said(&["--stall"], "\n", 0);
        assert_eq!(made, Ok(false));
        assert!(output.starts_with("ready\nstalled\n{"), "{output}");
        assert!(output.contains(r#""statuses":{"CANCELLED":1},"messages":1"#));
    }

    #[test]
    fn nothing_is_called_for_a_caller_that_is_gone() {
        let (made, output) = said(&["--warm-up=0"], "", 0);
        assert!(made.unwrap_err().contains("standard input"));
        assert_eq!(output, "ready\n");
    }
}
