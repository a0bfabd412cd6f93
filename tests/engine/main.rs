//! The engine between a real server and real clients in one process.

#[path = "../common/mod.rs"]
mod common;

mod blocking;
mod calls;
mod codec;
mod context;
mod counters;
mod faults;
mod feeding;
mod heartbeat;
mod limits;
mod ordered;
mod polling;
mod push;
mod scheduling;
mod stalls;
mod tolerance;
