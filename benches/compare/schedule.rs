//! The order of measurements: each round measures every implementation once and starts with another
//! one, so that slow changes of the machine affect all alike. It runs nothing.

use crate::implementations::Implementations;
use crate::produce::Produced;
use crate::record::Records;
use crate::settings::{Effort, Settings};
use crate::workload::{Case, Role, Workload};

/// One planned repetition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    pub case: Case,
    pub role: Role,
    pub implementation: String,
    pub server: String,
    pub client: String,
    pub round: u32,
}

/// All repetitions of a run, in order.
pub fn plan(settings: &Settings, implementations: &Implementations) -> Vec<Turn> {
    let mut turns = Vec::new();
    for &workload in &settings.workloads {
        for &role in workload.roles() {
            for group in workload.groups(settings.effort, role) {
                let pairs = pairs(settings, implementations, workload, role);
                let rounds = group.first().map_or(0, |case| case.rounds(settings.rounds));
                for round in 0..rounds {
                    let mut pairs = pairs.clone();
                    rotate(&mut pairs, round as usize);
                    for (implementation, server, client) in &pairs {
                        let cases = group
                            .iter()
                            .filter(|case| takes_part(settings, case, implementation));
                        turns.extend(cases.map(|&case| Turn {
                            case,
                            role,
                            implementation: implementation.clone(),
                            server: server.clone(),
                            client: client.clone(),
                            round,
                        }));
                    }
                }
            }
        }
    }
    turns
}

/// A smoke includes all; a quick run leaves out the three that take ten times as long as the rest,
/// unless they are named: two are slow, and one has a long warm-up.
fn takes_part(settings: &Settings, case: &Case, implementation: &str) -> bool {
    let slow = matches!(implementation, "naive" | "python" | "java");
    let named = settings
        .implementations
        .iter()
        .any(|name| name == implementation);
    match settings.effort {
        Effort::Smoke => true,
        Effort::Quick => case.is_for(implementation) && (named || !slow),
        Effort::Full => case.is_for(implementation),
    }
}

/// Implementation, server and client of each comparison.
fn pairs(
    settings: &Settings,
    implementations: &Implementations,
    workload: Workload,
    role: Role,
) -> Vec<(String, String, String)> {
    match role {
        Role::Server => {
            let Some(client) = reference_client(settings, implementations, workload) else {
                return Vec::new();
            };
            let servers = implementations.servers();
            servers
                .map(|implementation| {
                    (
                        implementation.clone(),
                        implementation.clone(),
                        client.clone(),
                    )
                })
                .collect()
        }
        Role::Client => {
            let server = &settings.server;
            let clients = implementations.loads();
            clients
                .map(|implementation| {
                    (
                        implementation.clone(),
                        server.clone(),
                        implementation.clone(),
                    )
                })
                .collect()
        }
    }
}

/// The sizes of responses that each implementation must make without sending them: those of its
/// cases, without what `produced` has already.
pub fn made(
    settings: &Settings,
    implementations: &Implementations,
    produced: &[Produced],
) -> Vec<(String, u64)> {
    let turns = plan(settings, implementations).into_iter();
    let audited = turns.filter(|turn| {
        turn.role == Role::Server && implementations.produce(&turn.implementation).is_some()
    });
    let mut made: Vec<(String, u64)> = audited
        .map(|turn| (turn.implementation, turn.case.shape(settings.effort).size))
        .collect();
    made.sort();
    made.dedup();
    let is_left = |(name, size): &(String, u64)| {
        let mut produced = produced.iter();
        !produced.any(|one| one.implementation == *name && one.size == *size)
    };
    made.retain(is_left);
    made
}

/// The client for all servers of a workload.
pub fn reference_client(
    settings: &Settings,
    implementations: &Implementations,
    workload: Workload,
) -> Option<String> {
    if settings.client.is_some() {
        return settings.client.clone();
    }
    let preferred = workload.clients().iter().map(|name| name.to_string());
    preferred
        .chain(implementations.loads().cloned())
        .find(|name| implementations.load(name).is_ok())
}

/// The clients to check each server with: all in a full run; otherwise the measured pairs, and this
/// project's programs with all others.
pub fn checks(
    settings: &Settings,
    implementations: &Implementations,
    ours: &str,
) -> Vec<(String, Vec<String>)> {
    let measured = |server: &str, client: &str| {
        let workloads = settings.workloads.iter();
        let mut references =
            workloads.filter_map(|&workload| reference_client(settings, implementations, workload));
        server == settings.server || references.any(|reference| reference == client)
    };
    let wanted = |server: &str, client: &str| {
        settings.effort == Effort::Full
            || server == ours
            || client == ours
            || measured(server, client)
    };
    let clients_of = |server: &String| {
        let clients = implementations
            .loads()
            .filter(|client| wanted(server, client));
        (server.clone(), clients.cloned().collect())
    };
    implementations.servers().map(clients_of).collect()
}

/// The turns of a plan that are not recorded yet.
pub fn left(turns: Vec<Turn>, records: &Records) -> Vec<Turn> {
    let done = |turn: &Turn| {
        records.runs.iter().any(|run| {
            (run.case, run.role, run.round) == (turn.case, turn.role, turn.round)
                && run.implementation == turn.implementation
        })
    };
    turns.into_iter().filter(|turn| !done(turn)).collect()
}

/// Every other round is reversed, so that no implementation always follows the same one.
pub fn rotate<T>(items: &mut [T], round: usize) {
    if round % 2 == 1 {
        items.reverse();
    }
    if !items.is_empty() {
        items.rotate_left(round / 2 % items.len());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::implementations::Implementation;
    use crate::record::tests::{header, run};

    fn implementations(names: &[&str]) -> Implementations {
        let implementation = |name: &&str| {
            let server = vec![name.to_string()];
            let load = (*name != "ccore").then(|| server.clone());
            let version = String::new();
            (
                name.to_string(),
                Implementation {
                    server,
                    load,
                    produce: None,
                    version,
                    warm_up_seconds: 0.0,
                },
            )
        };
        Implementations {
            implementations: names.iter().map(implementation).collect(),
            missing: BTreeMap::new(),
        }
    }

    fn records(runs: Vec<crate::record::Run>) -> Records {
        Records {
            header: header(),
            checks: Vec::new(),
            runs,
            produced: Vec::new(),
        }
    }

    #[test]
    fn each_round_measures_every_implementation() {
        let settings = header().settings;
        let implementations = implementations(&["ccore", "fanstream", "go", "tonic"]);
        let turns = plan(&settings, &implementations);
        for round in 0..settings.rounds {
            let of_round =
                |turn: &&Turn| turn.round == round && turn.role == Role::Server && !turn.case.tls;
            let mut names: Vec<&str> = turns
                .iter()
                .filter(of_round)
                .map(|turn| &*turn.implementation)
                .collect();
            names.sort();
            assert_eq!(
                names,
                ["ccore", "fanstream", "go", "tonic"],
                "round {round}"
            );
        }
        assert!(turns
            .iter()
            .filter(|turn| turn.role == Role::Server)
            .all(|turn| turn.client == "go"));
        let clients: Vec<&Turn> = turns
            .iter()
            .filter(|turn| turn.role == Role::Client)
            .collect();
        assert!(clients
            .iter()
            .all(|turn| turn.server == "tonic" && turn.client != "ccore"));
        assert!(!clients.is_empty());
    }

    #[test]
    fn rounds_start_with_different_implementations() {
        let order = |round| {
            let mut items = ["a", "b", "c"];
            rotate(&mut items, round);
            items.concat()
        };
        assert_eq!(
            [0, 1, 2, 3, 4].map(order),
            ["abc", "cba", "bca", "bac", "cab"]
        );
    }

    #[test]
    fn a_resumed_run_skips_recorded_turns() {
        let settings = header().settings;
        let implementations = implementations(&["fanstream", "go", "tonic"]);
        let all = plan(&settings, &implementations);
        let rest = left(
            all.clone(),
            &records(vec![run("go", 0, 1), run("tonic", 3, 1)]),
        );
        assert_eq!(rest.len(), all.len() - 2);
        assert!(!rest.iter().any(|turn| turn.implementation == "go"
            && turn.round == 0
            && turn.role == Role::Server
            && !turn.case.tls));
        assert_eq!(left(all.clone(), &records(Vec::new())), all);
    }

    #[test]
    fn a_missing_client_is_replaced_by_the_next_best() {
        let mut settings = header().settings;
        let some = implementations(&["fanstream", "tonic"]);
        let client = reference_client(&settings, &some, Workload::Tiny);
        assert_eq!(client.as_deref(), Some("fanstream"));
        settings.client = Some("tonic".into());
        let client = reference_client(&settings, &some, Workload::Tiny);
        assert_eq!(client.as_deref(), Some("tonic"));
    }

    #[test]
    fn a_quick_run_measures_slow_implementations_only_if_named() {
        let mut settings = header().settings;
        settings.effort = Effort::Quick;
        let implementations = implementations(&["fanstream", "go", "java"]);
        let measured = |settings: &Settings| {
            let turns = plan(settings, &implementations);
            turns.iter().any(|turn| turn.implementation == "java")
        };
        assert!(!measured(&settings));
        settings.implementations = vec!["java".into(), "go".into()];
        assert!(measured(&settings));
    }

    #[test]
    fn a_quick_run_checks_every_measured_pair() {
        let mut settings = header().settings;
        settings.effort = Effort::Quick;
        let implementations = implementations(&["ccore", "fanstream", "go", "python", "tonic"]);
        let checks = checks(&settings, &implementations, "fanstream");
        for turn in plan(&settings, &implementations) {
            let (_, clients) = checks
                .iter()
                .find(|(server, _)| *server == turn.server)
                .expect("a server");
            assert!(clients.contains(&turn.client), "{turn:?}");
        }
        let (_, of_python) = checks
            .iter()
            .find(|(server, _)| server == "python")
            .expect("a server");
        assert_eq!(*of_python, ["fanstream", "go"]);
    }
}
