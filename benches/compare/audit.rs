//! The audit: which figures measure more of a program's own code than a few per cent. A figure of
//! the comparison must measure a gRPC library, not what a program does beside it.
//!
//! Where a language or a library makes that dearer for a good reason, [`REASONS`] states it, with a
//! bound.

use crate::analysis::{program, Contest, Results};
use crate::metric::{Metric, P50};
use crate::settings::Effort;
use crate::stats::Estimate;
use crate::units;
use crate::workload::{Case, Role, Workload};

/// What a program does beside gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// Makes the responses, beyond the cost of the cheapest program: all must fill them.
    Making,
    /// Waits although a response is due at once.
    Start,
    /// Waits beyond the time at which a response is due.
    Timer,
}

impl Beside {
    /// The largest share of a figure that needs no reason.
    fn limit(self) -> f64 {
        match self {
            Beside::Making => 0.05,
            // Few rounds of a latency are known no better.
            Beside::Start => 0.10,
            Beside::Timer => 0.05,
        }
    }
}

/// A good reason for a larger share.
struct Reason {
    /// Without the suffix of a release build.
    implementations: &'static [&'static str],
    beside: Beside,
    /// The bound on the share.
    most: f64,
    why: &'static str,
}

const REASONS: &[Reason] = &[
    Reason {
        implementations: &["ccore", "ccore-framed"],
        beside: Beside::Making,
        most: 0.7,
        why: "it encodes the message by hand there, which a library does for the others",
    },
    Reason {
        implementations: &["fanstream"],
        beside: Beside::Making,
        most: 0.1,
        why: "it fills a message and encodes it, where the cheapest writes the bytes by hand",
    },
    Reason {
        implementations: &["tonic", "connectrpc"],
        beside: Beside::Making,
        most: 0.5,
        why: "a message owns its text, which is allocated and freed each time",
    },
    Reason {
        implementations: &["go"],
        beside: Beside::Making,
        most: 0.35,
        why: "strings are immutable, so each text is a new one for the garbage collector",
    },
    Reason {
        implementations: &["java"],
        beside: Beside::Making,
        most: 0.4,
        why: "strings and byte strings are immutable, so each is a new array for the garbage collector",
    },
    Reason {
        implementations: &["python"],
        beside: Beside::Making,
        most: 2.5,
        why: "a text and its copy in the message are new each time, and large ones come from the system, \
              more often than in a server, whose heap has grown",
    },
    Reason {
        implementations: &["tonic", "connectrpc"],
        beside: Beside::Timer,
        most: 0.6,
        why: "tokio's timers round up to the next millisecond",
    },
    Reason {
        implementations: &["ccore", "cpp-callback", "cpp-callback-hinted"],
        beside: Beside::Timer,
        most: 0.6,
        why: "the C-core's timers round up to the next millisecond",
    },
    Reason {
        implementations: &["go"],
        beside: Beside::Timer,
        most: 0.2,
        why: "Go's runtime sleeps in epoll, for whole milliseconds",
    },
];

/// A share of a figure that exceeds its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    pub contest: Contest,
    pub implementation: String,
    pub beside: Beside,
    /// Of the figure.
    pub share: f64,
    /// `None`: the figure must not be used.
    pub reason: Option<&'static str>,
}

/// Everything that exceeds its limit, in the order of the workloads.
pub fn findings(results: &Results) -> Vec<Finding> {
    let contests = results.contests().into_iter();
    let servers = contests.filter(|(role, _)| *role == Role::Server);
    servers.flat_map(|contest| of(results, contest)).collect()
}

/// The findings of one contest.
pub fn of(results: &Results, contest: Contest) -> Vec<Finding> {
    let names = results.implementations(contest).into_iter();
    names
        .flat_map(|name| {
            let kinds = [Beside::Making, Beside::Start, Beside::Timer].into_iter();
            kinds.filter_map(move |beside| {
                let share = share(results, contest, name, beside)?;
                (share > beside.limit()).then(|| Finding {
                    contest,
                    implementation: name.into(),
                    beside,
                    share,
                    reason: reason(name, beside, share),
                })
            })
        })
        .collect()
}

fn reason(implementation: &str, beside: Beside, share: f64) -> Option<&'static str> {
    let name = program(implementation);
    let fits = |reason: &&Reason| {
        reason.beside == beside && reason.implementations.contains(&name) && share <= reason.most
    };
    REASONS.iter().find(fits).map(|reason| reason.why)
}

/// The share of a figure that is the program's own; `None` if it was not measured.
fn share(results: &Results, contest: Contest, name: &str, beside: Beside) -> Option<f64> {
    // On a machine that is shared with other tests, a smoke's latencies say nothing.
    let is_smoke = results.header().settings.effort == Effort::Smoke;
    match beside {
        Beside::Making => making(results, contest, name),
        _ if is_smoke => None,
        // The whole interval must exceed the limit: a latency varies from round to round.
        Beside::Start if contest == FIRST => Some(start(results, name)?.low - 1.0),
        Beside::Timer if contest == FIRST => timer(results, name),
        _ => None,
    }
}

/// Making a response, as a share of the server's CPU time for a message.
pub fn whole_making(results: &Results, contest: Contest, name: &str) -> Option<f64> {
    let (role, case) = contest;
    // In these two a response costs less than the thread or timer that waits for it.
    if role != Role::Server || matches!(case.workload, Workload::First | Workload::Timed) {
        return None;
    }
    let message = results.estimate(contest, name, Metric::ServerCpu)?;
    Some(results.making(name, size(results, case))? / message.median)
}

/// The part of that share that the cheapest program does not have.
fn making(results: &Results, contest: Contest, name: &str) -> Option<f64> {
    let size = size(results, contest.1);
    let own = results.making(name, size)?;
    let least = results.least_making(size)?;
    Some(whole_making(results, contest, name)? * (1.0 - least / own))
}

fn size(results: &Results, case: Case) -> u64 {
    case.shape(results.header().settings.effort).size
}

const FIRST: Contest = (
    Role::Server,
    Case {
        workload: Workload::First,
        tls: false,
        point: None,
    },
);

/// The time to the first of several responses, as a multiple of that to the only one of a server
/// that has no timers.
pub fn start(results: &Results, name: &str) -> Option<Estimate> {
    let is_at_once = |(_, case): &Contest| case.workload == Workload::First && case.point.is_some();
    let at_once = results.contests().into_iter().find(is_at_once)?;
    results.ratio_of_cases(FIRST, at_once, name, Metric::First(P50))
}

/// The part of a step by which the gap between two responses exceeds it.
pub fn timer(results: &Results, name: &str) -> Option<f64> {
    let step = FIRST.1.shape(results.header().settings.effort).step;
    let gap = results.estimate(FIRST, name, Metric::Gap(P50))?;
    Some(gap.median / step.as_micros() as f64 - 1.0)
}

impl Finding {
    pub fn fails(&self) -> bool {
        self.reason.is_none()
    }

    /// The finding, without the contest.
    pub fn text(&self) -> String {
        let percent = units::number(100.0 * self.share);
        let what = match self.beside {
            Beside::Making => format!(
                "{percent} % of its CPU time per message makes the response, beyond the cost of the cheapest"
            ),
            Beside::Start => format!(
                "a first response that is due at once takes {percent} % longer than an only one"
            ),
            Beside::Timer => {
                format!("the gap between two responses is {percent} % longer than the step")
            }
        };
        let why = match self.reason {
            Some(why) => format!("; {why}"),
            None => ", and no reason is stated".into(),
        };
        format!("{}: {what}{why}.", self.implementation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::tests::results;
    use crate::latencies::Latencies;
    use crate::produce::Produced;
    use crate::record::tests::{header, run};
    use crate::record::{Records, Run};

    /// A message costs the server 1 µs, of which making its text takes `cpu_ns`.
    fn making(implementation: &str, cpu_ns: u64) -> Results {
        Results::new(Records {
            header: header(),
            checks: Vec::new(),
            runs: vec![run(implementation, 0, 1_000_000)],
            produced: vec![produced(implementation, cpu_ns), produced("cheapest", 10)],
        })
    }

    fn produced(implementation: &str, cpu_ns: u64) -> Produced {
        Produced {
            implementation: implementation.into(),
            size: 0,
            responses: 1,
            cpu_ns: Some(cpu_ns),
            failure: None,
        }
    }

    #[test]
    fn a_figure_that_measures_the_text_fails() {
        let findings = findings(&making("node", 410));
        assert_eq!(findings.len(), 1);
        assert!(findings[0].fails());
        assert_eq!(
            findings[0].text(),
            "node: 40.0 % of its CPU time per message makes the response, beyond the cost of the cheapest, and no reason \
             is stated."
        );
        assert_eq!(super::findings(&making("node", 50)), []);
    }

    #[test]
    fn a_stated_reason_has_a_bound() {
        let stated = REASONS.iter().filter(|one| one.beside == Beside::Making);
        for reason in stated {
            for name in reason.implementations {
                let share = |share: f64| findings(&making(name, (1e3 * share) as u64 + 10));
                let within = share(reason.most - 0.01);
                assert_eq!(within[0].reason, Some(reason.why), "{name}");
                assert!(share(reason.most + 0.01)[0].fails(), "{name}");
            }
        }
    }

    #[test]
    fn a_release_build_has_the_reasons_of_the_everyday_build() {
        for reason in REASONS {
            let name = format!("{}-release", reason.implementations[0]);
            assert!(super::reason(&name, reason.beside, reason.most).is_some());
        }
    }

    /// A server whose first response takes `due` where it waits for others, else `at_once`; the
    /// others come after `gap`.
    fn first(due: i64, at_once: i64, gap: i64) -> Results {
        let timed = |case, first: i64, gap: Option<i64>| {
            let mut run: Run = run("node", 0, 1);
            run.case = case;
            if let Some(measured) = &mut run.measured {
                measured.first = Latencies::of(&[first]).expect("in range");
                measured.gap = gap.and_then(|gap| Latencies::of(&[gap]).expect("in range"));
            }
            run
        };
        let at_once_case = Case {
            point: Some(250),
            ..FIRST.1
        };
        results(vec![
            timed(FIRST.1, due, Some(gap)),
            timed(at_once_case, at_once, None),
        ])
    }

    #[test]
    fn a_timer_before_a_response_that_is_due_fails() {
        let found = findings(&first(1_166, 70, 2_050));
        let kinds: Vec<_> = found.iter().map(|finding| finding.beside).collect();
        assert_eq!(kinds, [Beside::Start]);
        assert!(found[0].fails());
        assert_eq!(findings(&first(72, 70, 2_050)), []);
    }

    #[test]
    fn a_timer_that_rounds_up_fails() {
        let found = findings(&first(72, 70, 2_800));
        let kinds: Vec<_> = found.iter().map(|finding| finding.beside).collect();
        assert_eq!(kinds, [Beside::Timer]);
    }
}
