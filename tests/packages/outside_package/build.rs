fn main() -> Result<(), fanstream_build::Error> {
    fanstream_build::Protos::new()
        .file("proto/ticker.proto")
        .generate()
}
