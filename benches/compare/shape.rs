//! The shape of a load as flags of `benches/README.md`: the responses of the server and the calls
//! of the client. It is the same for all implementations of a comparison.

use std::time::Duration;

/// The parameters of a server and its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub responses: u32,
    pub step: Duration,
    /// 0 is the tutorial's text, unpadded.
    pub size: u64,
    pub connections: u32,
    pub in_flight: u32,
    pub ramp: Duration,
    /// Whether the client records latencies.
    pub samples: bool,
}

impl Shape {
    /// One stream of `responses` tutorial texts, as fast as the client reads.
    pub const fn stream(responses: u32) -> Shape {
        Shape {
            responses,
            step: Duration::ZERO,
            size: 0,
            connections: 1,
            in_flight: 1,
            ramp: Duration::ZERO,
            samples: false,
        }
    }

    pub const fn over(self, connections: u32, in_flight: u32) -> Shape {
        Shape {
            connections,
            in_flight,
            ..self
        }
    }

    pub const fn of_size(self, size: u64) -> Shape {
        Shape { size, ..self }
    }

    pub const fn every(self, step: Duration) -> Shape {
        Shape { step, ..self }
    }

    pub fn server_flags(&self) -> Vec<String> {
        let mut flags = vec!["--listen".into(), "127.0.0.1:0".into()];
        flags.extend(["--responses".into(), self.responses.to_string()]);
        flags.extend(["--step".into(), milliseconds(self.step)]);
        if self.size != 0 {
            flags.extend(["--size".into(), self.size.to_string()]);
        }
        flags.extend(["--log-level".into(), "warn".into()]);
        flags
    }

    pub fn load_flags(&self, calls: u32, warm_up: u32) -> Vec<String> {
        let mut flags = vec!["--calls".into(), calls.to_string()];
        flags.extend(["--in-flight".into(), self.in_flight.to_string()]);
        flags.extend(["--connections".into(), self.connections.to_string()]);
        flags.extend(["--warm-up".into(), warm_up.to_string()]);
        if !self.ramp.is_zero() {
            flags.extend(["--ramp".into(), milliseconds(self.ramp)]);
            flags.extend(["--step".into(), milliseconds(self.step)]);
        }
        if self.samples {
            flags.push("--samples".into());
        }
        flags
    }

    /// The shape as the report shows it. The number of calls is left out: it differs between
    /// implementations, so that each is measured for the same time.
    pub fn describe(&self) -> String {
        let mut text = format!("--responses {}", self.responses);
        if !self.step.is_zero() {
            text += &format!(" --step {}", milliseconds(self.step));
        }
        if self.size != 0 {
            text += &format!(" --size {}", self.size);
        }
        text += &format!(
            " · --connections {} --in-flight {}",
            self.connections, self.in_flight
        );
        if !self.ramp.is_zero() {
            text += &format!(" --ramp {}", milliseconds(self.ramp));
        }
        if self.samples {
            text += " --samples";
        }
        text
    }

    /// The minimum length of a call.
    pub fn span(&self) -> Duration {
        self.step * self.responses.saturating_sub(1)
    }
}

fn milliseconds(time: Duration) -> String {
    match time.as_millis() {
        0 => "0s".into(),
        ms => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_those_of_the_contract() {
        let shape = Shape::stream(3).every(Duration::from_millis(2)).of_size(64);
        assert_eq!(
            shape.server_flags().join(" "),
            "--listen 127.0.0.1:0 --responses 3 --step 2ms --size 64 --log-level warn"
        );
        assert_eq!(
            shape.over(2, 8).load_flags(16, 4).join(" "),
            "--calls 16 --in-flight 8 --connections 2 --warm-up 4"
        );
        assert_eq!(shape.span(), Duration::from_millis(4));
    }

    #[test]
    fn lateness_needs_the_step_of_the_server() {
        let ramp = Duration::from_millis(2500);
        let shape = Shape {
            ramp,
            ..Shape::stream(5).every(Duration::from_secs(1))
        };
        let flags = shape.load_flags(1, 1).join(" ");
        assert!(flags.ends_with("--ramp 2500ms --step 1000ms"), "{flags}");
    }
}
