//! The steps of a scenario, those of gRPC's own driver: set up, warm up, measure, stop. It prints
//! nothing.

use std::thread;

use anyhow::{Context, Result};

use crate::outcome::Outcome;
use crate::proto::worker::{
    ClientArgs, ClientConfig, ClosedLoopParams, Mark, ServerArgs, ServerConfig, SimpleProtoParams,
};
use crate::worker::{Session, Worker};
use crate::{Calls, Scenario};

/// The scale of all of gRPC's scenarios.
pub const RESOLUTION: f64 = 0.01;
const MAX_POSSIBLE: f64 = 60e9;

pub fn run(scenario: &Scenario, server: &Worker, client: &Worker) -> Result<Outcome> {
    let host = server.host()?;
    let mut server = server.run_server()?;
    let mut setup = ServerArgs::new();
    setup.set_setup(ServerConfig::new());
    server.send(setup);
    let port = server.receive()?.port;

    let mut client = client.run_client()?;
    let mut setup = ClientArgs::new();
    setup.set_setup(client_config(scenario, format!("{host}:{port}")));
    client.send(setup);
    client.receive()?;

    // Some clients start their calls only now.
    client.send(client_mark());
    client.receive()?;
    thread::sleep(scenario.warmup);
    server.send(server_mark());
    client.send(client_mark());
    server.receive()?;
    client.receive()?;
    thread::sleep(scenario.benchmark);

    client.send(client_mark());
    client.finish();
    let finish_server = |server: &mut Session<_, _>| {
        server.send(server_mark());
        server.finish();
        server.receive()
    };
    let (server_status, client_status);
    if scenario.rpc_type == Calls::StreamingFromServer {
        // A client may wait for the next response of a stream, so the server must not wait for it.
        server_status = finish_server(&mut server)?;
        client_status = client.receive()?;
        client.end()?;
    } else {
        client_status = client.receive()?;
        client.end()?;
        server_status = finish_server(&mut server)?;
    }
    server.end()?;
    let stats = |has: bool| has.then_some(()).context("a worker sent no statistics");
    stats(server_status.has_stats() && client_status.has_stats())?;
    Ok(Outcome {
        server: server_status.get_stats().clone(),
        client: client_status.get_stats().clone(),
    })
}

fn client_config(scenario: &Scenario, target: String) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.server_targets.push(target);
    config.rpc_type = scenario.rpc_type.rpc_type();
    config.client_channels = scenario.channels;
    config.outstanding_rpcs_per_channel = scenario.outstanding;
    let load = config.mut_load_params();
    load.set_closed_loop(ClosedLoopParams::new());
    let sizes = SimpleProtoParams {
        req_size: scenario.req_size,
        resp_size: scenario.resp_size,
        ..SimpleProtoParams::default()
    };
    config.mut_payload_config().set_simple_params(sizes);
    let histogram = config.mut_histogram_params();
    histogram.resolution = RESOLUTION;
    histogram.max_possible = MAX_POSSIBLE;
    config
}

fn mark() -> Mark {
    Mark {
        reset: true,
        ..Mark::default()
    }
}

fn server_mark() -> ServerArgs {
    let mut args = ServerArgs::new();
    args.set_mark(mark());
    args
}

fn client_mark() -> ClientArgs {
    let mut args = ClientArgs::new();
    args.set_mark(mark());
    args
}
