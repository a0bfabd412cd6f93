//! gRPC's QPS scenarios, run by the programs themselves: driver, server worker and client worker.

#[path = "../common/mod.rs"]
#[allow(dead_code)]
mod common;

use std::process::{Command, Output};
use std::time::Duration;

use common::process::Server;

const TIMEOUT: Duration = Duration::from_secs(60);

fn worker() -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qps-worker"));
    Server::start(None, command.arg("--driver_port=0")).unwrap()
}

/// Drives both workers with scenarios of a fraction of a second. The driver has its own deadlines.
fn drive(server: &Server, client: &Server, flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_qps-driver"))
        .args(["--server-worker", server.address()])
        .args(["--client-worker", client.address()])
        .args(["--warmup=50ms", "--benchmark=300ms"])
        .args(flags)
        .output()
        .unwrap()
}

/// A figure of the driver's output.
#[track_caller]
fn figure(output: &Output, name: &str) -> f64 {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.split_whitespace().last());
    value
        .unwrap_or_else(|| panic!("no {name}: {output:?}"))
        .parse()
        .unwrap()
}

#[track_caller]
fn check_figures(output: &Output) {
    assert!(output.status.success(), "{output:?}");
    let responses = figure(output, "responses");
    let seconds = figure(output, "seconds");
    assert!(responses > 0.0);
    assert!((0.3..30.0).contains(&seconds), "{seconds}");
    let qps = figure(output, "QPS");
    assert!((qps * seconds / responses - 1.0).abs() < 0.05, "{output:?}");
    let latency = |name| figure(output, name);
    let (p50, p99) = (latency("latency p50"), latency("latency p99"));
    assert!(p50 <= p99, "{output:?}");
    for side in ["server CPU", "client CPU"] {
        assert!(figure(output, side) > 0.0, "{output:?}");
    }
}

#[test]
fn workers_run_one_scenario_after_another_and_quit() {
    let (server, client) = (worker(), worker());
    let stream = [
        "--rpc-type=streaming-from-server",
        "--channels=2",
        "--outstanding=3",
        "--resp-size=100",
    ];
    check_figures(&drive(&server, &client, &stream));
    let unary = ["--rpc-type=unary", "--outstanding=4", "--req-size=9"];
    check_figures(&drive(&server, &client, &unary));
    // The same process can be both, one after the other; not at the same time.
    let busy = drive(&server, &server, &[]);
    assert!(!busy.status.success());
    let error = String::from_utf8_lossy(&busy.stderr);
    assert!(error.contains("8-RESOURCE_EXHAUSTED"), "{error}");

    check_figures(&drive(&server, &client, &["--quit"]));
    for worker in [server, client] {
        assert!(worker.wait(TIMEOUT).unwrap().success());
    }
}

#[test]
fn an_unsupported_scenario_is_refused_by_field() {
    let (server, client) = (worker(), worker());
    for (flag, refusal) in [
        ("--rpc-type=streaming", "12-UNIMPLEMENTED rpc_type: "),
        (
            "--outstanding=0",
            "3-INVALID_ARGUMENT outstanding_rpcs_per_channel: ",
        ),
        (
            "--resp-size=-1",
            "3-INVALID_ARGUMENT payload_config.simple_params.resp_size: ",
        ),
    ] {
        let refused = drive(&server, &client, &[flag]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let error = String::from_utf8_lossy(&refused.stderr);
        assert!(error.contains(refusal), "{flag}: {error}");
    }
    // A refusal leaves the workers free.
    check_figures(&drive(&server, &client, &["--quit"]));
}
