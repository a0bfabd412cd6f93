//! A whole run: builds the implementations, checks them with each other, measures, reports. A
//! failure of one implementation is recorded and does not stop the others.

use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use chrono::Local;
use clap::ValueEnum;

use crate::analysis::{Results, OURS};
use crate::audit::{self, Finding};
use crate::certs::Certs;
use crate::cli::Measure;
use crate::common::machine::Machine;
use crate::correctness;
use crate::extra;
use crate::implementations::Implementations;
use crate::interrupt::Interrupt;
use crate::parallel;
use crate::produce;
use crate::progress::Progress;
use crate::record::{Header, Recorder, Run};
use crate::report;
use crate::schedule::{checks, left, made, plan, Turn};
use crate::settings::{Effort, Settings};
use crate::turn::Bench;
use crate::units;
use crate::workload::Workload;

/// The preferred server for all clients, fastest first: no client should wait for it.
const FASTEST_SERVERS: [&str; 3] = ["tonic", "go", OURS];

/// Runs the comparison that `args` describe. Returns false if a smoke run failed, or if a figure
/// measures too much of a program's own code.
pub fn measure(args: &Measure) -> Result<bool> {
    let interrupt = Interrupt::on_signals()?;
    let implementations =
        find_implementations(args.implementation_list.as_deref(), &args.implementations)?;
    let settings = settings(args, &implementations)?;
    let machine = Machine::here();
    let now = Local::now();
    let directory = args.out.clone().unwrap_or_else(|| {
        let name = format!("{}-{}", now.format("%Y%m%d-%H%M%S"), machine.commit);
        PathBuf::from("compare-results").join(name)
    });
    let (versions, missing) = (implementations.versions(), implementations.missing.clone());
    let header = Header::new(now.to_rfc3339(), machine, settings, versions, missing);
    let recorder = Recorder::create(&directory, header)?;
    execute(recorder, &implementations, &directory, &interrupt)
}

/// Resumes the run in `directory`.
pub fn resume(directory: &Path) -> Result<bool> {
    let interrupt = Interrupt::on_signals()?;
    let recorder = Recorder::reopen(directory)?;
    let header = &recorder.records.header;
    let settings = &header.settings;
    let implementations = find_implementations(
        settings.implementation_list.as_deref(),
        &settings.implementations,
    )?;
    ensure!(
        Machine::here() == header.machine && implementations.versions() == header.versions,
        "--resume: the machine, the commit or the version of an implementation has changed; start a new run"
    );
    execute(recorder, &implementations, directory, &interrupt)
}

fn find_implementations(list: Option<&Path>, names: &[String]) -> Result<Implementations> {
    match list {
        Some(path) => Implementations::read(path, names),
        None => Implementations::build(names),
    }
}

fn settings(args: &Measure, implementations: &Implementations) -> Result<Settings> {
    let effort = match (args.quick, args.smoke) {
        (_, true) => Effort::Smoke,
        (true, _) => Effort::Quick,
        _ => Effort::Full,
    };
    if let Some(client) = &args.client {
        implementations.load(client).context("--client")?;
    }
    if let Some(server) = &args.server {
        implementations.server(server).context("--server")?;
    }
    let preferred = FASTEST_SERVERS.iter().map(|name| name.to_string());
    let mut servers = args
        .server
        .iter()
        .cloned()
        .chain(preferred)
        .chain(implementations.servers().cloned());
    let server = servers.find(|name| implementations.server(name).is_ok());
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
        max_rounds: args.max_rounds.unwrap_or(effort.max_rounds()),
        workloads,
        implementations: args.implementations.clone(),
        client: args.client.clone(),
        server: server.context("no server")?,
        implementation_list: args.implementation_list.clone(),
    })
}

/// Runs everything that is not recorded yet, then writes the report.
fn execute(
    mut recorder: Recorder,
    implementations: &Implementations,
    directory: &Path,
    interrupt: &Interrupt,
) -> Result<bool> {
    let done = check_and_measure(&mut recorder, implementations, interrupt);
    if let Err(error) = done {
        let directory = directory.display();
        return Err(error.context(format!("stopped; `--resume {directory}` continues the run")));
    }
    let results = Results::new(recorder.records);
    report::write(&results, directory)?;
    report::print_summary(&results, directory)?;
    let header = results.header();
    let smoke = header.settings.effort == Effort::Smoke;
    // A missing toolchain is a failure only in CI, which is meant to have them all.
    let incomplete =
        std::env::var_os("CI").is_some_and(|ci| ci == "true") && !header.missing.is_empty();
    let complete = !smoke || (results.failures().is_empty() && !incomplete);
    Ok(complete && !audit::findings(&results).iter().any(Finding::fails))
}

fn check_and_measure(
    recorder: &mut Recorder,
    implementations: &Implementations,
    interrupt: &Interrupt,
) -> Result<()> {
    let certs = Certs::generate()?;
    check_all(recorder, implementations, &certs, interrupt)?;
    audit_all(recorder, implementations, interrupt)?;

    let settings = recorder.records.header.settings.clone();
    let turns = left(plan(&settings, implementations), &recorder.records);
    let mut progress = Progress::new(turns.len());
    let bench = Bench {
        implementations,
        certs: &certs,
        effort: settings.effort,
        rounds: settings.rounds,
        interrupt,
    };
    // A smoke has one round and no figures, so its turns need neither the records of earlier turns
    // nor the machine for themselves.
    if settings.effort == Effort::Smoke {
        let checked = recorder.records.clone();
        let take = |turn: Turn| {
            interrupt.check()?;
            Ok((bench.take(&turn, &checked)?, turn))
        };
        return parallel::run(turns, threads(), take, |(run, turn)| {
            record_run(recorder, &mut progress, &turn, run)
        });
    }
    measure_in_turn(turns, recorder, &bench, &mut progress)?;
    loop {
        let turns = extra::turns(&recorder.records);
        let recorded = recorder.records.runs.len();
        progress = Progress::new(turns.len());
        measure_in_turn(turns, recorder, &bench, &mut progress)?;
        if recorder.records.runs.len() == recorded {
            return Ok(());
        }
    }
}

/// Measures what the servers' programs spend on making responses.
fn audit_all(
    recorder: &mut Recorder,
    implementations: &Implementations,
    interrupt: &Interrupt,
) -> Result<()> {
    let settings = recorder.records.header.settings.clone();
    let made = made(&settings, implementations, &recorder.records.produced);
    let mut progress = Progress::new(made.len());
    for (name, size) in made {
        interrupt.check()?;
        progress.step(
            "making responses",
            &format!("{name}, {}", units::size(size)),
        );
        let program = implementations.produce(&name).unwrap_or_default();
        let produced = produce::measure((&name, program), size, interrupt);
        recorder.produced(produced?)?;
        progress.done();
    }
    Ok(())
}

fn measure_in_turn(
    turns: Vec<Turn>,
    recorder: &mut Recorder,
    bench: &Bench<'_>,
    progress: &mut Progress,
) -> Result<()> {
    for turn in turns {
        bench.interrupt.check()?;
        progress.step(&part(&turn), &step(&turn));
        let run = bench.take(&turn, &recorder.records)?;
        record_run(recorder, progress, &turn, run)?;
    }
    Ok(())
}

fn record_run(
    recorder: &mut Recorder,
    progress: &mut Progress,
    turn: &Turn,
    run: Option<Run>,
) -> Result<()> {
    if let Some(run) = run {
        progress.step(&part(turn), &step(turn));
        if let Some(failure) = &run.failure {
            progress.say(&format!(
                "{}, {}: {failure}",
                part(turn),
                turn.implementation
            ));
        }
        recorder.run(run)?;
    }
    progress.done();
    Ok(())
}

fn part(turn: &Turn) -> String {
    format!("{} ({}s)", turn.case.workload.name(), turn.role)
}

fn step(turn: &Turn) -> String {
    format!(
        "{}, {}, round {}",
        turn.case,
        turn.implementation,
        turn.round + 1
    )
}

/// Two jobs a processor: a check mostly waits for its steps and for processes to start and exit.
fn threads() -> usize {
    2 * std::thread::available_parallelism().map_or(1, usize::from)
}

/// Checks every scheduled pair of a server and a client, in clear text and over TLS.
fn check_all(
    recorder: &mut Recorder,
    implementations: &Implementations,
    certs: &Certs,
    interrupt: &Interrupt,
) -> Result<()> {
    let mut jobs = Vec::new();
    for certs in [None, Some(certs)] {
        for (server, clients) in checks(&recorder.records.header.settings, implementations, OURS) {
            let tls = certs.is_some();
            let unchecked =
                |client: &String| recorder.records.check(&server, client, tls).is_none();
            let clients: Vec<String> = clients.into_iter().filter(unchecked).collect();
            jobs.push((certs, server, clients));
        }
    }
    let mut progress = Progress::new(jobs.len());
    let check = |(certs, server, clients): (Option<&Certs>, String, Vec<String>)| {
        let clients = clients
            .iter()
            .map(|client| Ok((&**client, implementations.load(client)?)));
        let clients: Vec<_> = clients.collect::<Result<_>>()?;
        let program = implementations.server(&server)?;
        let checks = correctness::check((&server, program), &clients, certs, interrupt)?;
        Ok((certs.is_some(), server, checks))
    };
    parallel::run(jobs, threads(), check, |(tls, server, checks)| {
        let over = if tls { " over TLS" } else { "" };
        progress.step(&format!("correctness{over}"), &server);
        for check in checks {
            if let Some(problem) = &check.problem {
                progress.say(&format!(
                    "{server} server, {} client{over}: {problem}",
                    check.client
                ));
            }
            recorder.check(check)?;
        }
        progress.done();
        Ok(())
    })
}
