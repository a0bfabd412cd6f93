//! The extent of a case: its rounds, the length of a repetition, and the shape of its load. It runs
//! nothing.

use std::time::Duration;

use crate::settings::Effort;
use crate::shape::Shape;
use crate::workload::{Case, Workload, KIB};

/// The step of `first`.
const FIRST_STEP: Duration = Duration::from_millis(2);

impl Case {
    /// The number of rounds: fewer than `rounds` for long repetitions, for points of a curve, and
    /// for TLS, which the clear-text case mostly covers.
    pub fn rounds(&self, rounds: u32) -> u32 {
        match self.workload {
            Workload::Sizes | Workload::Streams => rounds.min(2),
            Workload::Timed if self.is_only_a_point() || self.point > Some(10_000) => 1,
            Workload::Slow => (rounds / 2).clamp(1, 2),
            Workload::Timed => rounds.min(2),
            Workload::Arena => rounds.min(3),
            _ if self.tls => (rounds / 2).max(1),
            _ => rounds,
        }
    }

    /// The target length of a repetition in seconds; `None` for a single short run.
    pub fn repetition(&self, effort: Effort) -> Option<f64> {
        let seconds = effort.repetition()?;
        Some(match self.workload {
            // Many points, each of which tells less than the curve.
            Workload::Sizes | Workload::Streams => seconds / 2.0,
            _ => seconds,
        })
    }

    pub fn shape(&self, effort: Effort) -> Shape {
        let by = |full, quick, smoke| match effort {
            Effort::Full => full,
            Effort::Quick => quick,
            Effort::Smoke => smoke,
        };
        let point = self.point.unwrap_or(0);
        match self.workload {
            Workload::Tiny => Shape::stream(by(200_000, 20_000, 2_000)),
            Workload::Short => Shape::stream(5).over(1, 64),
            Workload::Arena => Shape::stream(by(5_000, 500, 50)).over(64, 256),
            Workload::Unary => Shape::stream(1).over(64, 256),
            Workload::Bulk => Shape::stream(by(1_000, 250, 20))
                .of_size(64 * KIB)
                .over(1, 4),
            // The first stream stays open until the last has come.
            Workload::Timed => Shape {
                ramp: Duration::from_micros(160 * point),
                ..Shape::stream(5)
                    .every(timed_step(point))
                    .over(10, point as u32)
            },
            // As far apart as those of the other case: a server that has slept answers later.
            Workload::First if self.point.is_some() => Shape {
                samples: true,
                ramp: FIRST_STEP * 2 * self.calls().unwrap_or(0),
                ..Shape::stream(1)
            },
            Workload::First => Shape {
                samples: true,
                ..Shape::stream(3).every(FIRST_STEP)
            },
            Workload::Slow => Shape::stream(by(1_000, 250, 50))
                .of_size(64 * KIB)
                .over(2, 4),
            Workload::Sizes => {
                let responses =
                    (16 * KIB * KIB / point.max(1)).clamp(64, u64::from(by(20_000, 5_000, 500)));
                Shape::stream(responses as u32).of_size(point)
            }
            Workload::Streams => Shape::stream(200).over(point.min(8) as u32, point as u32),
        }
    }

    /// The number of stalled readers beside the measured ones.
    pub fn stalled(&self) -> u32 {
        match self.workload {
            Workload::Slow => self.point.unwrap_or(0) as u32,
            _ => 0,
        }
    }

    /// The number of calls, if the case fixes it.
    pub fn calls(&self) -> Option<u32> {
        match self.workload {
            Workload::Timed | Workload::First => self.point.map(|point| point as u32),
            _ => None,
        }
    }
}

fn timed_step(streams: u64) -> Duration {
    Duration::from_millis(match streams {
        ..1_000 => 50,
        1_000..10_000 => 500,
        10_000..20_000 => 1_000,
        20_000..40_000 => 2_000,
        _ => 6_000,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Role;

    #[test]
    fn all_streams_of_a_timed_case_are_open_at_once() {
        for effort in [Effort::Full, Effort::Quick, Effort::Smoke] {
            for case in Workload::Timed.groups(effort, Role::Server).concat() {
                let shape = case.shape(effort);
                // With time to spare, since a busy machine starts them late.
                assert!(shape.ramp * 5 / 4 <= shape.span(), "{case}: {shape:?}");
                assert_eq!(case.calls(), Some(shape.in_flight));
            }
        }
    }

    #[test]
    fn streams_of_every_message_size_are_bounded() {
        for case in Workload::Sizes.groups(Effort::Full, Role::Server).concat() {
            let shape = case.shape(Effort::Full);
            let bytes = shape.size * u64::from(shape.responses);
            assert!((64..=20_000).contains(&shape.responses), "{case}");
            assert!(bytes <= 64 << 20, "{case}: {bytes}");
        }
    }
}
