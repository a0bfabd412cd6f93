//! Generates the code of the suite's messages. `proto/connectrpc` is that of
//! connectrpc.com/conformance v1.0.7, unchanged.

fn main() -> Result<(), fanstream_build::Error> {
    fanstream_build::Protos::new()
        .include("proto")
        .file("proto/connectrpc/conformance/v1/client_compat.proto")
        .file("proto/connectrpc/conformance/v1/server_compat.proto")
        .file("proto/google/rpc/status.proto")
        .generate()
}
