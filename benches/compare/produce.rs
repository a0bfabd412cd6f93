//! Measures what a server's program spends on making responses, without sending them: time that
//! belongs to the program and not to its gRPC library. It judges nothing.

use std::time::Duration;

use anyhow::{ensure, Context, Result};
use serde::{Deserialize, Serialize};

use crate::common::cpu::cpu_time;
use crate::interrupt::{Interrupt, Interrupted};
use crate::load::Load;
use crate::pair::cores;

/// The limit on making the responses.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The id in the text of each response.
const ID: u32 = 1;

/// The CPU time of an implementation for responses of a size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Produced {
    pub implementation: String,
    /// 0 is the tutorial's text.
    pub size: u64,
    pub responses: u64,
    /// `None` if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ns: Option<u64>,
    /// The reason if there is no figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

impl Produced {
    /// Microseconds of CPU time for one response.
    pub fn micros(&self) -> Option<f64> {
        Some(self.cpu_ns? as f64 / 1e3 / self.responses as f64)
    }
}

/// The program's own count.
#[derive(Deserialize)]
struct Made {
    responses: u64,
    bytes: u64,
}

/// Has `program` make responses of `size` bytes, and measures its CPU time. A failure is a result;
/// an interrupt is an error.
pub fn measure(
    (implementation, program): (&str, &[String]),
    size: u64,
    interrupt: &Interrupt,
) -> Result<Produced> {
    let responses = responses(size);
    let (cpu_ns, failure) = match cpu_ns(program, size, responses, interrupt) {
        Ok(cpu_ns) => (Some(cpu_ns), None),
        Err(error) if error.is::<Interrupted>() => return Err(error),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    Ok(Produced {
        implementation: implementation.into(),
        size,
        responses,
        cpu_ns,
        failure,
    })
}

fn cpu_ns(program: &[String], size: u64, responses: u64, interrupt: &Interrupt) -> Result<u64> {
    let flags = ["--produce", &responses.to_string()].map(String::from);
    let size_flags = ["--size", &size.to_string()].map(String::from);
    let [core, _] = cores();
    let mut process = Load::start(core, program, &[flags, size_flags].concat(), interrupt)?;
    let before = cpu_time(process.pid())?;
    process.go()?;
    let made: Made = process.summary(TIMEOUT, |_| {})?;
    let cpu = cpu_time(process.pid())?.saturating_sub(before);
    process.end()?;
    let expected = (responses, bytes(responses, size));
    let made = (made.responses, made.bytes);
    ensure!(
        made == expected,
        "it made {} responses of {} bytes instead of {} of {}",
        made.0,
        made.1,
        expected.0,
        expected.1
    );
    u64::try_from(cpu.as_nanos()).context("too long")
}

/// As many as make the cost of the two waits between process and measurement negligible.
fn responses(size: u64) -> u64 {
    ((1 << 30) / size.max(1)).clamp(1_000, 500_000)
}

fn bytes(responses: u64, size: u64) -> u64 {
    let text = |k: u64| format!("Request #{k} For Id:{ID}").len() as u64;
    match size {
        0 => (0..responses).map(text).sum(),
        size => responses * size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(script: &str) -> Produced {
        let program = ["sh", "-c", script, "sh"].map(String::from);
        let produced = measure(("some", &program), 1 << 20, &Interrupt::default());
        produced.expect("no interrupt")
    }

    #[test]
    fn a_program_that_makes_all_responses_has_a_cost() {
        let bytes = 1024_u64 << 20;
        let script = format!(
            r#"echo ready; read go; echo '{{"responses":1024,"bytes":{bytes}}}'; read end; exit 0"#
        );
        let produced = measured(&script);
        assert_eq!((produced.size, produced.responses), (1 << 20, 1024));
        assert!(produced.micros() > Some(0.0), "{produced:?}");
    }

    #[test]
    fn a_program_that_makes_less_has_none() {
        let script =
            r#"echo ready; read go; echo '{"responses":1024,"bytes":7}'; read end; exit 0"#;
        let produced = measured(script);
        assert_eq!(produced.micros(), None);
        let failure = produced.failure.expect("too few bytes");
        assert!(failure.contains("of 7 bytes"), "{failure}");
    }

    #[test]
    fn the_bytes_are_those_of_the_contract() {
        assert_eq!(bytes(11, 0), 10 * 19 + 20);
        assert_eq!(bytes(3, 8), 24);
    }
}
