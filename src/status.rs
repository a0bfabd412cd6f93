//! How a status code is written: one spelling for what the client prints and what the server logs.

use grpcio::RpcStatusCode;

/// A status code as the gRPC specification spells it: `DEADLINE_EXCEEDED`.
pub fn status_name(code: RpcStatusCode) -> String {
    // grpcio spells it `4-DEADLINE_EXCEEDED`.
    let spelled = code.to_string();
    match spelled.split_once('-') {
        Some((_, name)) => name.to_string(),
        None => spelled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
