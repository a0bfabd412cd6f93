//! Names of status codes and methods, for output, logs, metrics and traces. It must not know calls.

use grpcio::RpcStatusCode;

/// Returns the name of a status code in the gRPC specification, such as `DEADLINE_EXCEEDED`.
pub fn status_name(code: RpcStatusCode) -> String {
    // grpcio prints `4-DEADLINE_EXCEEDED`.
    let spelled = code.to_string();
    match spelled.split_once('-') {
        Some((_, name)) => name.to_string(),
        None => spelled,
    }
}

/// Splits `/package.Service/Method` into service and method.
pub(crate) fn split_method(method: &str) -> (&str, &str) {
    let method = method.strip_prefix('/').unwrap_or(method);
    method.split_once('/').unwrap_or((method, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_split_into_service_and_name() {
        assert_eq!(
            split_method("/protobuf.StreamService/FetchResponse"),
            ("protobuf.StreamService", "FetchResponse")
        );
        assert_eq!(split_method("odd"), ("odd", ""));
    }

    #[test]
    fn status_names_are_those_of_the_specification() {
        assert_eq!(status_name(RpcStatusCode::OK), "OK");
        assert_eq!(
            status_name(RpcStatusCode::DEADLINE_EXCEEDED),
            "DEADLINE_EXCEEDED"
        );
        assert_eq!(
            status_name(RpcStatusCode::RESOURCE_EXHAUSTED),
            "RESOURCE_EXHAUSTED"
        );
    }
}
