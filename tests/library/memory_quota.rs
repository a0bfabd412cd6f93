//! The memory quota of a server: its default, and the end of streams beyond it.

use fanstream::engine::ReceiveError;
use grpcio::RpcStatusCode;
use procfs::Current;
use rstest::rstest;

use crate::common::in_process::{call, InProcess};
use crate::common::server::server;
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};

#[test]
fn the_memory_quota_is_on_by_default() {
    let quota = |flags: &[&str]| {
        let flags = [&["--listen", "127.0.0.1:0", "--log-level", "debug"], flags].concat();
        let server = server(flags);
        server.line();
        server.signal("-TERM");
        let log = server.end().errors.join("\n");
        let (_, quota) = log.split_once("memory quota: ").expect("the quota");
        quota.lines().next().unwrap().to_string()
    };
    assert_eq!(quota(&["--memory-quota", "none"]), "none");
    assert_eq!(quota(&["--memory-quota", "64MiB"]), "67108864 bytes");
    let automatic: u64 = quota(&[]).strip_suffix(" bytes").unwrap().parse().unwrap();
    let memory = procfs::Meminfo::current().unwrap().mem_total;
    assert!(
        (1..=memory / 4).contains(&automatic),
        "{automatic} of {memory}"
    );
}

#[rstest]
fn streams_end_beyond_the_memory_quota(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = InProcess::start(transport, &["--memory-quota", "1MiB", "--step", "1h"]);
    let client = server.client(&server.address, &[]);
    // The C-core counts about 2 KiB for each of them, until one has ended: then it knows the size of
    // a call, which it does not count.
    let mut open = Vec::new();
    let status = (0..1000).find_map(|_| {
        let mut stream = call(&client);
        match stream.next() {
            Some(Ok(_)) => open.push(stream),
            Some(Err(ReceiveError::Status(status))) => return Some(status),
            ended => panic!("{ended:?}"),
        }
        open.iter().find_map(|stream| stream.status().cloned())
    });
    let status = status.expect("a stream that has ended");
    let codes = [
        // The stream was ended to free memory.
        RpcStatusCode::RESOURCE_EXHAUSTED,
        // Its connection was closed.
        RpcStatusCode::UNAVAILABLE,
    ];
    assert!(codes.contains(&status.code()), "{status}");
}
