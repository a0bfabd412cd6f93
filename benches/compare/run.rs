//! A whole run: finds the peers, checks that they work together, measures, reports. What goes wrong
//! with one peer is recorded and does not stop the others.

use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use chrono::Local;
use clap::ValueEnum;

use crate::analysis::{Results, OURS};
use crate::certs::Certs;
use crate::cli::Measure;
use crate::common::machine::Machine;
use crate::correctness;
use crate::interrupt::Interrupt;
use crate::peers::Peers;
use crate::progress::Progress;
use crate::record::{Header, Recorder};
use crate::report;
use crate::schedule::{checks, left, plan};
use crate::settings::{Effort, Settings};
use crate::turn::Bench;
use crate::workload::Workload;

/// The fastest server there is, so that no client waits for it; and who stands in for it.
const FASTEST_SERVERS: [&str; 3] = ["tonic", "go", OURS];

/// Measures what `args` ask for. False when something failed that must not.
pub fn measure(args: &Measure) -> Result<bool> {
    let interrupt = Interrupt::on_signals()?;
    let peers = find_peers(args.peer_list.as_deref(), &args.peers)?;
    let settings = settings(args, &peers)?;
    let machine = Machine::here();
    let now = Local::now();
    let directory = args.out.clone().unwrap_or_else(|| {
        let name = format!("{}-{}", now.format("%Y%m%d-%H%M%S"), machine.commit);
        PathBuf::from("compare-results").join(name)
    });
    let (versions, missing) = (peers.versions(), peers.missing.clone());
    let header = Header::new(now.to_rfc3339(), machine, settings, versions, missing);
    let recorder = Recorder::create(&directory, header)?;
    go_on(recorder, &peers, &directory, &interrupt)
}

/// Goes on with the run in `directory`.
pub fn resume(directory: &Path) -> Result<bool> {
    let interrupt = Interrupt::on_signals()?;
    let recorder = Recorder::reopen(directory)?;
    let header = &recorder.records.header;
    let settings = &header.settings;
    let peers = find_peers(settings.peer_list.as_deref(), &settings.peers)?;
    ensure!(
        Machine::here() == header.machine && peers.versions() == header.versions,
        "--resume: the machine, the commit or a peer's version is another one now; start a new run"
    );
    go_on(recorder, &peers, directory, &interrupt)
}

fn find_peers(list: Option<&Path>, names: &[String]) -> Result<Peers> {
    match list {
        Some(path) => Peers::read(path, names),
        None => Peers::build(names),
    }
}

fn settings(args: &Measure, peers: &Peers) -> Result<Settings> {
    let effort = match (args.quick, args.smoke) {
        (_, true) => Effort::Smoke,
        (true, _) => Effort::Quick,
        _ => Effort::Full,
    };
    if let Some(client) = &args.client {
        peers.load(client).context("--client")?;
    }
    if let Some(server) = &args.server {
        peers.server(server).context("--server")?;
    }
    let preferred = FASTEST_SERVERS.iter().map(|name| name.to_string());
    let mut servers = args
        .server
        .iter()
        .cloned()
        .chain(preferred)
        .chain(peers.servers().cloned());
    let server = servers.find(|name| peers.server(name).is_ok());
    let mut workloads = args.workloads.clone();
    if workloads.is_empty() {
        let all = Workload::value_variants().iter().copied();
        workloads = all.filter(|workload| workload.by_default(effort)).collect();
    }
    workloads.sort();
    workloads.dedup();
    Ok(Settings {
        effort,
        rounds: args.rounds.unwrap_or(effort.rounds()),
        workloads,
        peers: args.peers.clone(),
        client: args.client.clone(),
        server: server.context("no server")?,
        peer_list: args.peer_list.clone(),
    })
}

/// Does what is not recorded yet, then draws the report.
fn go_on(
    mut recorder: Recorder,
    peers: &Peers,
    directory: &Path,
    interrupt: &Interrupt,
) -> Result<bool> {
    let done = check_and_measure(&mut recorder, peers, interrupt);
    if let Err(error) = done {
        let directory = directory.display();
        return Err(error.context(format!("stopped; `--resume {directory}` goes on with it")));
    }
    let results = Results::new(recorder.records);
    report::write(&results, directory)?;
    report::print_summary(&results, directory);
    let header = results.header();
    let smoke = header.settings.effort == Effort::Smoke;
    // A toolchain that is not there is a failure only where all are meant to be there.
    let incomplete =
        std::env::var_os("CI").is_some_and(|ci| ci == "true") && !header.missing.is_empty();
    Ok(!smoke || (results.failures().is_empty() && !incomplete))
}

fn check_and_measure(recorder: &mut Recorder, peers: &Peers, interrupt: &Interrupt) -> Result<()> {
    let certs = Certs::generate()?;
    check_all(recorder, peers, &certs, interrupt)?;

    let settings = recorder.records.header.settings.clone();
    let turns = left(plan(&settings, peers), &recorder.records);
    let mut progress = Progress::new(turns.len());
    let bench = Bench {
        peers,
        certs: &certs,
        effort: settings.effort,
        interrupt,
    };
    for turn in turns {
        interrupt.check()?;
        let part = format!("{} ({}s)", turn.case.workload.name(), turn.role);
        let step = format!("{}, {}, round {}", turn.case, turn.peer, turn.round + 1);
        progress.step(&part, &step);
        if let Some(run) = bench.take(&turn, &recorder.records)? {
            if let Some(failure) = &run.failure {
                progress.say(&format!("{part}, {}: {failure}", turn.peer));
            }
            recorder.run(run)?;
        }
        progress.done();
    }
    Ok(())
}

/// Every server with every client that it is to be checked with, in the clear and over TLS.
fn check_all(
    recorder: &mut Recorder,
    peers: &Peers,
    certs: &Certs,
    interrupt: &Interrupt,
) -> Result<()> {
    let wanted = checks(&recorder.records.header.settings, peers, OURS);
    let mut progress = Progress::new(2 * wanted.len());
    for certs in [None, Some(certs)] {
        let tls = certs.is_some();
        for (server, clients) in &wanted {
            let over = if tls { " over TLS" } else { "" };
            progress.step(&format!("do they work together{over}"), server);
            let unchecked =
                |client: &&String| recorder.records.check(server, client, tls).is_none();
            let clients = clients.iter().filter(unchecked);
            let clients = clients.map(|client| Ok((&**client, peers.load(client)?)));
            let clients: Vec<_> = clients.collect::<Result<_>>()?;
            let pair = (&**server, peers.server(server)?);
            for check in correctness::check(pair, &clients, certs, interrupt)? {
                if let Some(problem) = &check.problem {
                    progress.say(&format!(
                        "{server} server, {} client{over}: {problem}",
                        check.client
                    ));
                }
                recorder.check(check)?;
            }
            progress.done();
        }
    }
    Ok(())
}
