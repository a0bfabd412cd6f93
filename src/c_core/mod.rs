//! What a server and a client settle with the C-core of their process: where its log goes, and that
//! it gets its threads. It must not know servers or clients.

mod log;
mod threads;

pub(crate) use log::redirect_log;
pub(crate) use threads::check_threads;
