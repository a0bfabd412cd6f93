//! Generates the code of gRPC's benchmark services, for `qps/`. Their messages of calls are those of
//! the interop service.

fn main() -> Result<(), fanstream_build::Error> {
    fanstream_build::Protos::new()
        .include("qps/proto")
        .include("../tests/interop/proto")
        .file("qps/proto/benchmark.proto")
        .file("qps/proto/worker.proto")
        .generate()
}
