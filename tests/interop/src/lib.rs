//! The messages and methods of gRPC's interop service.

fanstream::include_protos!();
