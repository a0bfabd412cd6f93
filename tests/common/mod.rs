//! Shared by the test programs: servers, clients, proxies and certificates. It has no tests.

#![allow(dead_code)] // each test program uses its part of it

pub mod attack;
pub mod certificates;
pub mod collector;
pub mod harness;
pub mod http;
pub mod http2;
pub mod in_process;
pub mod process;
pub mod proxy;
pub mod raw_server;
pub mod server;
pub mod stub;
pub mod transport;
