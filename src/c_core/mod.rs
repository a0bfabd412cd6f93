//! The gRPC C-core of this process: which one it is, where its log goes, and that it gets its
//! threads. It must not know servers or clients.

mod log;
mod patches;
#[cfg(test)]
mod testing;
mod threads;

pub use patches::{is_patched, VERSION};

pub(crate) use log::redirect_log;
pub(crate) use patches::{knows, warn_if_unpatched};
pub(crate) use threads::check_threads;
