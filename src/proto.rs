//! Code and descriptors that `build.rs` generates from `proto/`. Nothing by hand belongs here.

crate::include_protos!();
