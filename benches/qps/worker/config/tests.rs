//! Tests of the checks: gRPC's scenario passes, and each refusal names its field.

use super::*;
use crate::proto::worker::{PoissonParams, SecurityParams};

const GRPC_SCALE: (f64, f64) = (0.01, 60e9);

/// gRPC's scenario streaming_from_server.
pub fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.server_targets.push("localhost:10001".into());
    config.rpc_type = RpcType::STREAMING_FROM_SERVER;
    config.client_channels = 2;
    config.outstanding_rpcs_per_channel = 3;
    config.mut_load_params().mut_closed_loop();
    config.mut_payload_config().mut_simple_params().resp_size = 7;
    (
        config.mut_histogram_params().resolution,
        config.mut_histogram_params().max_possible,
    ) = GRPC_SCALE;
    config
}

#[track_caller]
fn refusal(code: RpcStatusCode, field: &str, status: &RpcStatus) {
    assert_eq!(status.code(), code, "{status}");
    assert!(status.message().starts_with(field), "{field}: {status}");
}

#[test]
fn the_scenario_of_grpc_passes() {
    let load = load(&client()).unwrap();
    assert_eq!(load.targets, ["localhost:10001".parse().unwrap()]);
    assert_eq!((load.channels, load.calls_per_channel), (2, 3));
    assert_eq!(load.kind, CallKind::StreamingFromServer);
    assert_eq!(load.request.response_size, 7);

    let mut config = ServerConfig::new();
    config.port = 10_001;
    config.async_server_threads = 4;
    let expected = Listen {
        port: 10_001,
        threads: Some(4),
    };
    assert_eq!(server(&config).unwrap(), expected);
}

type ChangeOf<T> = (&'static str, fn(&mut T));

#[test]
fn unsupported_clients_are_refused_by_field() {
    let changes: [ChangeOf<ClientConfig>; 10] = [
        ("client_type", |c| {
            c.client_type = ClientType::CALLBACK_CLIENT
        }),
        ("security_params", |c| {
            c.set_security_params(SecurityParams::new());
        }),
        ("core_limit", |c| c.core_limit = 1),
        ("core_list", |c| c.core_list.push(0)),
        ("load_params.poisson", |c| {
            c.mut_load_params().set_poisson(PoissonParams::new());
        }),
        ("messages_per_stream", |c| c.messages_per_stream = 1),
        ("rpc_type", |c| c.rpc_type = RpcType::STREAMING),
        ("rpc_type", |c| c.rpc_type = RpcType::STREAMING_BOTH_WAYS),
        ("payload_config.bytebuf_params", |c| {
            c.mut_payload_config().mut_bytebuf_params();
        }),
        ("payload_config.complex_params", |c| {
            c.mut_payload_config().mut_complex_params();
        }),
    ];
    for (field, change) in changes {
        let mut config = client();
        change(&mut config);
        refusal(
            RpcStatusCode::UNIMPLEMENTED,
            field,
            &load(&config).unwrap_err(),
        );
    }
}

#[test]
fn invalid_clients_are_refused_by_field() {
    let changes: [ChangeOf<ClientConfig>; 9] = [
        ("server_targets", |c| c.server_targets.clear()),
        ("server_targets", |c| c.server_targets[0] = "here".into()),
        ("client_channels", |c| c.client_channels = 0),
        ("client_channels", |c| c.client_channels = -1),
        ("outstanding_rpcs_per_channel", |c| {
            c.outstanding_rpcs_per_channel = 0;
        }),
        ("outstanding_rpcs_per_channel", |c| {
            c.outstanding_rpcs_per_channel = i32::MAX;
        }),
        ("load_params", |c| c.clear_load_params()),
        ("payload_config.simple_params.req_size", |c| {
            c.mut_payload_config().mut_simple_params().req_size = -1;
        }),
        ("histogram_params", |c| c.clear_histogram_params()),
    ];
    for (field, change) in changes {
        let mut config = client();
        change(&mut config);
        refusal(
            RpcStatusCode::INVALID_ARGUMENT,
            field,
            &load(&config).unwrap_err(),
        );
    }
}

#[test]
fn servers_are_refused_by_field() {
    let unsupported: [ChangeOf<ServerConfig>; 6] = [
        ("server_type", |c| {
            c.server_type = ServerType::ASYNC_GENERIC_SERVER;
        }),
        ("security_params", |c| {
            c.set_security_params(SecurityParams::new());
        }),
        ("core_limit", |c| c.core_limit = 1),
        ("core_list", |c| c.core_list.push(0)),
        ("payload_config.bytebuf_params", |c| {
            c.mut_payload_config().mut_bytebuf_params();
        }),
        ("resource_quota_size", |c| c.resource_quota_size = 1 << 20),
    ];
    let invalid: [ChangeOf<ServerConfig>; 3] = [
        ("port", |c| c.port = 65_536),
        ("port", |c| c.port = -1),
        ("async_server_threads", |c| c.async_server_threads = -1),
    ];
    let changes = unsupported
        .map(|change| (RpcStatusCode::UNIMPLEMENTED, change))
        .into_iter()
        .chain(invalid.map(|change| (RpcStatusCode::INVALID_ARGUMENT, change)));
    for (code, (field, change)) in changes {
        let mut config = ServerConfig::new();
        change(&mut config);
        refusal(code, field, &server(&config).unwrap_err());
    }
}
