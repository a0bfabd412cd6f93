//! In which order what is measured: rounds in which every peer has its turn, each round starting
//! with another one, so that what changes with time falls on all alike. Nothing is run here.

use crate::peers::Peers;
use crate::record::Records;
use crate::settings::{Effort, Settings};
use crate::workload::{Case, Role, Workload};

/// One repetition that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    pub case: Case,
    pub role: Role,
    pub peer: String,
    pub server: String,
    pub client: String,
    pub round: u32,
}

/// Everything that is to be measured, in order.
pub fn plan(settings: &Settings, peers: &Peers) -> Vec<Turn> {
    let mut turns = Vec::new();
    for &workload in &settings.workloads {
        for &role in workload.roles() {
            for group in workload.groups(settings.effort, role) {
                let pairs = pairs(settings, peers, workload, role);
                let rounds = group.first().map_or(0, |case| case.rounds(settings.rounds));
                for round in 0..rounds {
                    let mut pairs = pairs.clone();
                    rotate(&mut pairs, round as usize);
                    for (peer, server, client) in &pairs {
                        let cases = group
                            .iter()
                            .filter(|case| takes_part(settings.effort, case, peer));
                        turns.extend(cases.map(|&case| Turn {
                            case,
                            role,
                            peer: peer.clone(),
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

/// A smoke is for all; a quick run has no time for those that take ten times as long as the rest.
fn takes_part(effort: Effort, case: &Case, peer: &str) -> bool {
    match effort {
        Effort::Smoke => true,
        Effort::Quick => case.is_for(peer) && !matches!(peer, "naive" | "python"),
        Effort::Full => case.is_for(peer),
    }
}

/// Peer, server and client of all that are compared.
fn pairs(
    settings: &Settings,
    peers: &Peers,
    workload: Workload,
    role: Role,
) -> Vec<(String, String, String)> {
    match role {
        Role::Server => {
            let Some(client) = reference_client(settings, peers, workload) else {
                return Vec::new();
            };
            let servers = peers.servers();
            servers
                .map(|peer| (peer.clone(), peer.clone(), client.clone()))
                .collect()
        }
        Role::Client => {
            let server = &settings.server;
            let clients = peers.loads();
            clients
                .map(|peer| (peer.clone(), server.clone(), peer.clone()))
                .collect()
        }
    }
}

/// The client that all servers of a workload are measured with.
pub fn reference_client(settings: &Settings, peers: &Peers, workload: Workload) -> Option<String> {
    if settings.client.is_some() {
        return settings.client.clone();
    }
    let preferred = workload.clients().iter().map(|name| name.to_string());
    preferred
        .chain(peers.loads().cloned())
        .find(|name| peers.load(name).is_ok())
}

/// Which servers are checked with which clients: all with all, or, where time is short, all pairs
/// that are measured, and this project's programs with all others.
pub fn checks(settings: &Settings, peers: &Peers, ours: &str) -> Vec<(String, Vec<String>)> {
    let measured = |server: &str, client: &str| {
        let workloads = settings.workloads.iter();
        let mut references =
            workloads.filter_map(|&workload| reference_client(settings, peers, workload));
        server == settings.server || references.any(|reference| reference == client)
    };
    let wanted = |server: &str, client: &str| {
        settings.effort == Effort::Full
            || server == ours
            || client == ours
            || measured(server, client)
    };
    let clients_of = |server: &String| {
        let clients = peers.loads().filter(|client| wanted(server, client));
        (server.clone(), clients.cloned().collect())
    };
    peers.servers().map(clients_of).collect()
}

/// What is left of a plan after what is recorded.
pub fn left(turns: Vec<Turn>, records: &Records) -> Vec<Turn> {
    let done = |turn: &Turn| {
        records.runs.iter().any(|run| {
            (run.case, run.role, run.round) == (turn.case, turn.role, turn.round)
                && run.peer == turn.peer
        })
    };
    turns.into_iter().filter(|turn| !done(turn)).collect()
}

/// Every other round runs backwards as well, so that nobody always follows the same one.
fn rotate<T>(items: &mut [T], round: usize) {
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
    use crate::peers::Peer;
    use crate::record::tests::{header, run};

    fn peers(names: &[&str]) -> Peers {
        let peer = |name: &&str| {
            let server = vec![name.to_string()];
            let load = (*name != "ccore").then(|| server.clone());
            let version = String::new();
            (
                name.to_string(),
                Peer {
                    server,
                    load,
                    version,
                },
            )
        };
        Peers {
            peers: names.iter().map(peer).collect(),
            missing: BTreeMap::new(),
        }
    }

    fn records(runs: Vec<crate::record::Run>) -> Records {
        Records {
            header: header(),
            checks: Vec::new(),
            runs,
        }
    }

    #[test]
    fn every_peer_has_its_turn_in_every_round() {
        let settings = header().settings;
        let peers = peers(&["ccore", "fanstream", "go", "tonic"]);
        let turns = plan(&settings, &peers);
        for round in 0..settings.rounds {
            let of_round =
                |turn: &&Turn| turn.round == round && turn.role == Role::Server && !turn.case.tls;
            let mut names: Vec<&str> = turns
                .iter()
                .filter(of_round)
                .map(|turn| &*turn.peer)
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
    fn rounds_start_with_different_peers() {
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
    fn a_run_that_stopped_goes_on_where_it_was() {
        let settings = header().settings;
        let peers = peers(&["fanstream", "go", "tonic"]);
        let all = plan(&settings, &peers);
        let rest = left(
            all.clone(),
            &records(vec![run("go", 0, 1), run("tonic", 3, 1)]),
        );
        assert_eq!(rest.len(), all.len() - 2);
        assert!(!rest.iter().any(|turn| turn.peer == "go"
            && turn.round == 0
            && turn.role == Role::Server
            && !turn.case.tls));
        assert_eq!(left(all.clone(), &records(Vec::new())), all);
    }

    #[test]
    fn the_next_best_client_where_the_best_is_missing() {
        let mut settings = header().settings;
        let some = peers(&["fanstream", "tonic"]);
        let client = reference_client(&settings, &some, Workload::Tiny);
        assert_eq!(client.as_deref(), Some("fanstream"));
        settings.client = Some("tonic".into());
        let client = reference_client(&settings, &some, Workload::Tiny);
        assert_eq!(client.as_deref(), Some("tonic"));
    }

    #[test]
    fn where_time_is_short_what_is_measured_is_still_checked() {
        let mut settings = header().settings;
        settings.effort = Effort::Quick;
        let peers = peers(&["ccore", "fanstream", "go", "python", "tonic"]);
        let checks = checks(&settings, &peers, "fanstream");
        for turn in plan(&settings, &peers) {
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
