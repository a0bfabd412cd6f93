//! Checks of a driver's configurations. Every refusal names its field. It starts nothing.

use std::thread::available_parallelism;

use fanstream::address::Address;
use grpcio::{RpcStatus, RpcStatusCode};

use crate::histogram::Scale;
use crate::proto::test::SimpleRequest;
use crate::proto::worker::{
    ClientConfig, ClientType, LoadParams_oneof_load, PayloadConfig, PayloadConfig_oneof_payload,
    RpcType, ServerConfig, ServerType,
};

/// The most outstanding calls: each has a thread.
const MAX_CALLS: usize = 4_096;

/// What a server can do with its configuration.
#[derive(Debug, PartialEq)]
pub struct Listen {
    /// 0: any.
    pub port: u16,
    /// The most worker threads, if the driver limits them.
    pub threads: Option<usize>,
}

/// The load of a client.
#[derive(Debug)]
pub struct Load {
    pub targets: Vec<Address>,
    pub channels: usize,
    pub calls_per_channel: usize,
    pub kind: CallKind,
    pub request: SimpleRequest,
    pub scale: Scale,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CallKind {
    Unary,
    StreamingFromServer,
}

/// The processors of this process.
pub fn cores() -> i32 {
    available_parallelism().map_or(1, |n| i32::try_from(n.get()).unwrap_or(i32::MAX))
}

pub fn server(config: &ServerConfig) -> Result<Listen, RpcStatus> {
    match config.server_type {
        ServerType::SYNC_SERVER | ServerType::ASYNC_SERVER => {}
        other => return Err(unsupported("server_type", format!("{other:?}"))),
    }
    insecure(config.has_security_params())?;
    any_core(config.core_limit, &config.core_list)?;
    sizes(config.payload_config.as_ref())?;
    if config.resource_quota_size != 0 {
        return Err(unsupported("resource_quota_size", "a memory limit"));
    }
    let port = config.port.try_into();
    Ok(Listen {
        port: port.map_err(|_| invalid("port", format!("{} is no port", config.port)))?,
        threads: match count("async_server_threads", config.async_server_threads)? {
            0 => None,
            threads => Some(threads),
        },
    })
}

pub fn load(config: &ClientConfig) -> Result<Load, RpcStatus> {
    match config.client_type {
        ClientType::SYNC_CLIENT | ClientType::ASYNC_CLIENT => {}
        other => return Err(unsupported("client_type", format!("{other:?}"))),
    }
    insecure(config.has_security_params())?;
    any_core(config.core_limit, &config.core_list)?;
    match &config.get_load_params().load {
        Some(LoadParams_oneof_load::closed_loop(_)) => {}
        Some(LoadParams_oneof_load::poisson(_)) => {
            return Err(unsupported("load_params.poisson", "an open loop"))
        }
        None => return Err(invalid("load_params", "it is empty")),
    }
    if config.messages_per_stream != 0 {
        return Err(unsupported("messages_per_stream", "a stream that ends"));
    }
    let kind = match config.rpc_type {
        RpcType::UNARY => CallKind::Unary,
        RpcType::STREAMING_FROM_SERVER => CallKind::StreamingFromServer,
        other => return Err(unsupported("rpc_type", format!("{other:?}"))),
    };
    let (request, response_size) = sizes(config.payload_config.as_ref())?;
    let channels = at_least_one("client_channels", config.client_channels)?;
    let calls_per_channel = at_least_one(
        "outstanding_rpcs_per_channel",
        config.outstanding_rpcs_per_channel,
    )?;
    let calls = channels.saturating_mul(calls_per_channel);
    if calls > MAX_CALLS {
        return Err(invalid(
            "outstanding_rpcs_per_channel",
            format!("times client_channels are {calls} calls; {MAX_CALLS} are the limit"),
        ));
    }
    let histogram = config.get_histogram_params();
    let scale = Scale::new(histogram.resolution, histogram.max_possible);
    Ok(Load {
        targets: targets(&config.server_targets)?,
        channels,
        calls_per_channel,
        kind,
        request: simple_request(request, response_size),
        scale: scale.ok_or_else(|| {
            let why = format!("{} to {}", histogram.resolution, histogram.max_possible);
            invalid("histogram_params", format!("no buckets for {why}"))
        })?,
    })
}

fn targets(targets: &[String]) -> Result<Vec<Address>, RpcStatus> {
    if targets.is_empty() {
        return Err(invalid("server_targets", "it is empty"));
    }
    let parse = |target: &String| {
        let address = target.parse();
        address.map_err(|error| invalid("server_targets", format!("{error}")))
    };
    targets.iter().map(parse).collect()
}

fn simple_request(size: usize, response_size: i32) -> SimpleRequest {
    let mut request = SimpleRequest::new();
    request.response_size = response_size;
    if size > 0 {
        request.mut_payload().body = vec![0; size];
    }
    request
}

/// The sizes of requests and responses.
fn sizes(payload: Option<&PayloadConfig>) -> Result<(usize, i32), RpcStatus> {
    use PayloadConfig_oneof_payload::{bytebuf_params, complex_params, simple_params};
    match payload.and_then(|payload| payload.payload.as_ref()) {
        None => Ok((0, 0)),
        Some(simple_params(sizes)) => {
            count("payload_config.simple_params.resp_size", sizes.resp_size)?;
            let request = count("payload_config.simple_params.req_size", sizes.req_size)?;
            Ok((request, sizes.resp_size))
        }
        Some(bytebuf_params(_)) => Err(unsupported(
            "payload_config.bytebuf_params",
            "a message without a proto",
        )),
        Some(complex_params(_)) => Err(unsupported(
            "payload_config.complex_params",
            "an undefined message",
        )),
    }
}

fn insecure(has_security_params: bool) -> Result<(), RpcStatus> {
    match has_security_params {
        true => Err(unsupported("security_params", "TLS")),
        false => Ok(()),
    }
}

fn any_core(limit: i32, list: &[i32]) -> Result<(), RpcStatus> {
    if limit != 0 {
        return Err(unsupported("core_limit", "a limit of processors"));
    }
    if !list.is_empty() {
        return Err(unsupported("core_list", "a choice of processors"));
    }
    Ok(())
}

fn at_least_one(field: &str, value: i32) -> Result<usize, RpcStatus> {
    match count(field, value)? {
        0 => Err(invalid(field, "it is 0")),
        value => Ok(value),
    }
}

fn count(field: &str, value: i32) -> Result<usize, RpcStatus> {
    let negative = |_| invalid(field, format!("{value} is negative"));
    value.try_into().map_err(negative)
}

/// The status for a value that no worker can use.
pub fn invalid(field: &str, why: impl AsRef<str>) -> RpcStatus {
    let text = format!("{field}: {}", why.as_ref());
    RpcStatus::with_message(RpcStatusCode::INVALID_ARGUMENT, text)
}

/// The status for a value that this worker does not implement.
fn unsupported(field: &str, what: impl AsRef<str>) -> RpcStatus {
    let text = format!("{field}: this worker does not support {}", what.as_ref());
    RpcStatus::with_message(RpcStatusCode::UNIMPLEMENTED, text)
}

#[cfg(test)]
pub mod tests;
