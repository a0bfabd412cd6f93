//! One repetition: starts a server and a load client on a core each, measures them from `ready` to
//! the summary, and ends both. It must not know any workload.

use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};
use serde::{Deserialize, Serialize};

use crate::certs::Certs;
use crate::common::machine::{CLIENT_CORE, SERVER_CORE};
use crate::common::process::Server;
use crate::cost::{Cost, Meter};
use crate::interrupt::Interrupt;
use crate::latencies::Latencies;
use crate::load::{command, last_words, Load, Summary};
use crate::shape::Shape;

/// The limit on a repetition, in addition to the ramp and steps of its shape.
const REPETITION_TIMEOUT: Duration = Duration::from_secs(150);

/// A server and a client to measure with each other.
pub struct Pair<'a> {
    pub server: &'a [String],
    pub load: &'a [String],
    pub shape: Shape,
    /// The number of stalled readers: each reads one response.
    pub stalled: u32,
    /// Set for TLS.
    pub certs: Option<&'a Certs>,
}

/// The result of a repetition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub calls: u64,
    pub messages: u64,
    pub bytes: u64,
    /// From the start of the first call to the end of the last.
    pub seconds: f64,
    /// From `go` to the summary: the period of the CPU times.
    pub wall_ns: u64,
    pub server: Cost,
    pub client: Cost,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Latencies>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Latencies>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<Latencies>,
}

impl Pair<'_> {
    pub fn measure(&self, calls: u32, warm_up: u32, interrupt: &Interrupt) -> Result<Measured> {
        let [server_core, client_core] = cores();
        let stderr = tempfile::tempfile()?;
        let mut flags = self.shape.server_flags();
        flags.extend(self.certs.map(Certs::server_flags).into_iter().flatten());
        let server = Server::start(server_core, &mut command(self.server, &flags, &stderr)?);
        let server =
            server.with_context(|| format!("the server did not start{}", last_words(stderr)))?;
        let _stalled = self.stall(&server, client_core, interrupt)?;

        let mut flags = self.address_of(&server);
        flags.extend(self.shape.load_flags(calls, warm_up));
        let load = Load::start(client_core, self.load, &flags, interrupt);
        let mut load = load.context("the load client")?;
        let measured = self.repetition(&server, &mut load)?;
        load.end().context("the load client")?;
        Ok(measured)
    }

    fn address_of(&self, server: &Server) -> Vec<String> {
        let mut flags = vec!["--addr".into(), server.address().into()];
        flags.extend(self.certs.map(Certs::client_flags).into_iter().flatten());
        flags
    }

    /// Starts the stalled readers, which live as long as the returned value.
    fn stall(
        &self,
        server: &Server,
        core: Option<usize>,
        interrupt: &Interrupt,
    ) -> Result<Option<Load>> {
        if self.stalled == 0 {
            return Ok(None);
        }
        let mut flags = self.address_of(server);
        let calls = self.stalled.to_string();
        flags.extend(["--stall", "--calls", &calls, "--in-flight", &calls].map(String::from));
        let stall = || {
            let mut load = Load::start(core, self.load, &flags, interrupt)?;
            load.go()?;
            load.stalled()?;
            anyhow::Ok(load)
        };
        stall().context("the client that stalls").map(Some)
    }

    fn repetition(&self, server: &Server, load: &mut Load) -> Result<Measured> {
        let meters = [Meter::start(server.pid())?, Meter::start(load.pid())?];
        let start = Instant::now();
        load.go()?;
        let limit = REPETITION_TIMEOUT + self.shape.ramp + self.shape.span();
        let summary = load.summary::<Summary>(limit, |_| {});
        let wall = start.elapsed();
        let summary = summary.context("the load client")?;
        let cpu = [meters[0].cpu()?, meters[1].cpu()?];
        let [server, client] = meters;
        let measured = Measured {
            calls: summary.calls,
            messages: summary.messages,
            bytes: summary.bytes,
            seconds: summary.seconds,
            wall_ns: u64::try_from(wall.as_nanos())?,
            server: server.finish(cpu[0]).context("the server")?,
            client: client.finish(cpu[1]).context("the load client")?,
            first: Latencies::of(&summary.first_us)?,
            gap: Latencies::of(&summary.gap_us)?,
            late: Latencies::of(&summary.late_us)?,
        };
        complete(&summary, self.shape.responses)?;
        Ok(measured)
    }
}

/// Fails unless all calls ended with OK and delivered all messages, so that sending less never
/// looks cheap.
fn complete(summary: &Summary, responses: u32) -> Result<()> {
    let ok = summary.statuses.get("OK").copied().unwrap_or(0);
    ensure!(
        ok == summary.calls,
        "calls ended with {:?}",
        summary.statuses
    );
    let expected = summary.calls * u64::from(responses);
    ensure!(
        summary.messages == expected,
        "{} messages instead of {expected}",
        summary.messages
    );
    ensure!(summary.seconds > 0.0, "it took {} s", summary.seconds);
    Ok(())
}

/// Gives server and client a core each if there are two.
pub fn cores() -> [Option<usize>; 2] {
    match std::thread::available_parallelism() {
        Ok(cores) if cores.get() > CLIENT_CORE => [Some(SERVER_CORE), Some(CLIENT_CORE)],
        _ => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(ok: u64, messages: u64) -> Summary {
        Summary {
            calls: 4,
            statuses: [("OK".to_string(), ok)].into(),
            messages,
            seconds: 1.0,
            ..Summary::default()
        }
    }

    #[test]
    fn an_incomplete_repetition_is_no_figure() {
        assert!(complete(&summary(4, 20), 5).is_ok());
        assert!(complete(&summary(3, 20), 5).is_err(), "a call that failed");
        assert!(complete(&summary(4, 19), 5).is_err(), "a message too few");
        assert!(complete(&summary(4, 21), 5).is_err(), "a message too many");
    }
}
