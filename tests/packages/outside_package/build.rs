use std::path::PathBuf;

use fanstream_build::{Error, Protos};

fn main() -> Result<(), Error> {
    Protos::new().file("proto/logs.proto").generate()?;
    // The same messages for prost, and types of other packages.
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or(Error::NoOutDir)?);
    let by_prost = Protos::new()
        .file("proto/logs.proto")
        .file("proto/clock.proto");
    by_prost.prost().out_dir(out.join("by_prost")).generate()
}
