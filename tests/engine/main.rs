//! The engine, as a server and its clients notice it.

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
mod push;
mod scheduling;
mod stalls;
mod tolerance;
