//! Code and descriptors generated from `proto/` by `build.rs`. It must not contain other code.

crate::include_protos!();
