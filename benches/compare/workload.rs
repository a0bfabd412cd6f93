//! The workloads: the purpose and the cases of each, and for whom they are. It runs nothing.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::analysis::OURS_DIRECT;
use crate::settings::Effort;
use crate::units;

/// A kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// One stream of many tiny messages
    Tiny,
    /// Five messages a call, 64 calls in flight
    Short,
    /// 64 connections, 256 streams in flight, many messages each
    Arena,
    /// One message a call, 64 connections, 256 calls in flight
    Unary,
    /// 64 KiB messages, four streams
    Bulk,
    /// Thousands of open streams, five responses a step apart
    Timed,
    /// Low load: time to the first response, and the gap between responses
    First,
    /// A reader that stalls, beside others that read
    Slow,
    /// One stream, messages of 8 B to 1 MiB
    Sizes,
    /// 1 to 1,024 streams in flight
    Streams,
}

/// The compared side of a pair; the other side is the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Server,
    Client,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Server => "server",
            Role::Client => "client",
        })
    }
}

/// One case of a workload, measured by one repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Case {
    pub workload: Workload,
    pub tls: bool,
    /// The varied parameter: open streams, bytes of a message, stalled readers, or calls of one
    /// response.
    pub point: Option<u64>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.workload.name())?;
        if let Some(point) = self.point_name() {
            write!(f, " {point}")?;
        }
        if self.tls {
            f.write_str(" over TLS")?;
        }
        Ok(())
    }
}

pub const KIB: u64 = 1024;

impl Workload {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Workload::Tiny => "tiny",
            Workload::Short => "short",
            Workload::Arena => "arena",
            Workload::Unary => "unary",
            Workload::Bulk => "bulk",
            Workload::Timed => "timed",
            Workload::First => "first",
            Workload::Slow => "slow",
            Workload::Sizes => "sizes",
            Workload::Streams => "streams",
        }
    }

    pub fn about(self) -> &'static str {
        match self {
            Workload::Tiny => "One stream of the tutorial's text at full speed: the cost of a message.",
            Workload::Short => "Five messages a call, 64 calls in flight on one connection: the cost of a call.",
            Workload::Arena => {
                "The shape of HttpArena: 64 connections, 256 streams in flight, many messages a call. naive and python \
                are left out: they would take minutes."
            }
            Workload::Unary => {
                "Calls with one response, 64 connections, 256 calls in flight: the shape of HttpArena's unary profile. \
                Each is a stream of one message, since the contract has no unary method. naive and python are left out."
            }
            Workload::Bulk => "64 KiB messages on four streams of one connection: the cost of a byte.",
            Workload::Timed => {
                "Many streams open at once, five responses a step apart: the memory of an open stream, and the \
                lateness of responses. From 1,000 streams on, naive is left out (a thread for each response), and \
                so is python (it accepts no more calls); beyond 10,000, cpp-sync is as well (a thread for each \
                stream). Memory varies little from round to round: two rounds at 10,000 are enough, and one \
                elsewhere. grpc-rs is left out: the calls of a connection run one after the other."
            }
            Workload::First => {
                "One call at a time, three responses 2 ms apart: the time to the first response, and the gap \
                 between responses. The first is due at once, so it must come as early as the only response of a server \
                 without steps: the table has that ratio."
            }
            Workload::Slow => {
                "Four streams of 64 KiB messages beside one whose reader stalls after its first response: the \
                effect on the others, and the memory that it holds in the server."
            }
            Workload::Sizes => "One stream with messages of various sizes.",
            Workload::Streams => {
                "Various numbers of streams in flight on at most eight connections, 200 messages a call. naive and \
                python are left out at 1,024."
            }
        }
    }

    /// Whether a run of this effort includes the workload if none is named.
    pub fn by_default(self, effort: Effort) -> bool {
        effort != Effort::Quick
            || !matches!(
                self,
                Workload::Slow
                    | Workload::Sizes
                    | Workload::Streams
                    | Workload::Arena
                    | Workload::Unary
            )
    }

    pub fn roles(self) -> &'static [Role] {
        match self {
            Workload::Tiny | Workload::Short | Workload::Bulk => &[Role::Server, Role::Client],
            _ => &[Role::Server],
        }
    }

    /// The clients for all servers, in order of preference. A client should cost less than any
    /// server and accept any server: the h2 library under tonic refuses servers that send every
    /// tiny message in its own frame (GOAWAY `too_many_data_frames`), so it only gets few or large
    /// messages. It did so in timed, with 10,000 streams on a connection.
    pub fn clients(self) -> &'static [&'static str] {
        match self {
            Workload::Bulk | Workload::First | Workload::Slow => {
                &["tonic", "go", "cpp-sync", "fanstream"]
            }
            _ => &["go", "cpp-sync", "fanstream", "tonic"],
        }
    }

    /// The cases, in groups. The cases of a group take turns within a round, so they can be
    /// compared.
    pub fn groups(self, effort: Effort, role: Role) -> Vec<Vec<Case>> {
        let case = |tls, point| Case {
            workload: self,
            tls,
            point,
        };
        let points = |points: &[u64]| {
            points
                .iter()
                .map(|&point| case(false, Some(point)))
                .collect()
        };
        let of_effort = |full: &[u64], quick: &[u64], smoke: &[u64]| {
            points(match effort {
                Effort::Full => full,
                Effort::Quick => quick,
                Effort::Smoke => smoke,
            })
        };
        let alone = |cases: Vec<Case>| cases.into_iter().map(|case| vec![case]).collect();
        let secured = vec![vec![case(false, None)], vec![case(true, None)]];
        match self {
            Workload::Tiny if role == Role::Server => secured,
            Workload::Short | Workload::Bulk if effort == Effort::Full && role == Role::Server => {
                secured
            }
            Workload::Timed => alone(of_effort(
                &[1_000, 3_000, 10_000, 30_000, 100_000],
                &[2_000],
                &[100],
            )),
            Workload::Slow => vec![points(&[0, 1])],
            // A response that is due at once must not wait for a timer.
            Workload::First if effort != Effort::Smoke => {
                let calls = if effort == Effort::Full { 250 } else { 60 };
                vec![vec![case(false, None), case(false, Some(calls))]]
            }
            Workload::Sizes => vec![of_effort(
                &[8, 128, 2 * KIB, 32 * KIB, 256 * KIB, KIB * KIB],
                &[8, 4 * KIB, KIB * KIB],
                &[KIB * KIB],
            )],
            Workload::Streams => vec![of_effort(&[1, 4, 16, 128, 1024], &[1, 32, 1024], &[64])],
            _ => vec![vec![case(false, None)]],
        }
    }
}

impl Case {
    /// The varied parameter, formatted.
    pub fn point_name(&self) -> Option<String> {
        let point = self.point?;
        Some(match self.workload {
            Workload::Sizes => units::size(point),
            Workload::Slow if point == 0 => "alone".into(),
            Workload::Slow => "beside".into(),
            Workload::First => "at once".into(),
            _ => units::grouped(point as f64),
        })
    }

    /// Whether the case is no more than a point of a curve, or of a comparison with another case.
    pub fn is_only_a_point(&self) -> bool {
        match self.workload {
            Workload::Sizes | Workload::Streams | Workload::Slow => true,
            Workload::First => self.point.is_some(),
            Workload::Timed => matches!(self.point, Some(1_000 | 3_000 | 30_000)),
            _ => false,
        }
    }

    /// Whether `implementation` is measured. A load that it cannot hold says nothing about its
    /// cost, and one that takes minutes delays all others. A smoke ignores this.
    pub fn is_for(&self, implementation: &str) -> bool {
        // It is built for the correctness checks only.
        if implementation == "node" {
            return false;
        }
        // On a curve, another build of a program is one more line close to its first.
        let is_on_curve = match self.workload {
            Workload::Sizes | Workload::Streams => true,
            Workload::Timed => self.point != Some(10_000),
            _ => false,
        };
        if is_on_curve && implementation.starts_with("cpp-") && implementation.ends_with("-release")
        {
            return false;
        }
        // It differs in the first turn of a call.
        if implementation == OURS_DIRECT
            && !matches!(
                self.workload,
                Workload::Short | Workload::Unary | Workload::First
            )
        {
            return false;
        }
        // It differs where several small messages are due at once.
        if implementation.starts_with("ccore-framed")
            && !matches!(
                self.workload,
                Workload::Tiny
                    | Workload::Short
                    | Workload::Arena
                    | Workload::Sizes
                    | Workload::Streams
            )
        {
            return false;
        }
        // At least a thread for each stream; naive has five.
        let threads = implementation.starts_with("cpp-sync");
        let many_threads = matches!(implementation, "naive" | "python");
        match (self.workload, self.point) {
            // It runs one call of a connection at a time.
            (Workload::Timed, _) if implementation == "grpc-rs" => false,
            (Workload::Timed, Some(10_001..)) => !threads && !many_threads,
            (Workload::Timed | Workload::Streams, Some(1_000..))
            | (Workload::Arena | Workload::Unary, _) => !many_threads,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_with_a_thread_for_each_stream_skip_the_largest_cases() {
        let timed = |point| Case {
            workload: Workload::Timed,
            tls: false,
            point: Some(point),
        };
        assert!(timed(10_000).is_for("cpp-sync") && !timed(30_000).is_for("cpp-sync"));
        assert!(timed(100).is_for("python") && !timed(10_000).is_for("python"));
        assert!(timed(100_000).is_for("cpp-callback") && !timed(100).is_for("node"));
        assert!(!timed(2_000).is_for("grpc-rs"));
    }

    #[test]
    fn joined_messages_are_measured_where_messages_can_join() {
        let is_for = |workload, implementation| {
            let case = Case {
                workload,
                tls: false,
                point: None,
            };
            case.is_for(implementation)
        };
        for implementation in ["ccore-framed", "ccore-framed-release"] {
            assert!(is_for(Workload::Short, implementation));
            assert!(!is_for(Workload::Bulk, implementation));
        }
        assert!(is_for(Workload::Bulk, "ccore"));
    }

    #[test]
    fn names_match_the_command_line() {
        for workload in Workload::value_variants() {
            let value = workload.to_possible_value().expect("not hidden");
            assert_eq!(value.get_name(), workload.name());
        }
    }
}
