//! Number of threads for producers that block or compute.

use std::thread;
use std::time::{Duration, Instant};

use fanstream::engine::Job;

use crate::common::harness::{response, texts, Harness};
use crate::common::transport::Transport::Clear;

const STREAMS: i32 = 64;

/// With one thread each they take 60 ms; two at a time, 2 s.
#[test]
fn briefly_blocking_streams_run_in_parallel() {
    let server = Harness::start(Clear, |_, _| {
        let blocks = (0..20).map(|_| {
            thread::sleep(Duration::from_millis(3));
            Ok(response("x"))
        });
        Ok(Job::now(blocks).into())
    });
    let began = Instant::now();
    let calls: Vec<_> = (0..STREAMS).map(|id| server.call(id)).collect();
    for call in calls {
        assert_eq!(texts(call).len(), 20);
    }
    let took = began.elapsed();
    println!("{STREAMS} streams of 20 blocks of 3 ms took {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
}
