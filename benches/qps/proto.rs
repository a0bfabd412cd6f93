//! The code generated from `proto/`. It must not contain other code.

fanstream::include_protos!();
