//! Number of threads for producers that block or compute.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
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

/// More threads than processors do not speed up a computation.
#[test]
fn computing_streams_get_one_thread_per_processor() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let seen = most.clone();
    let server = Harness::start(Clear, move |_, _| {
        let (now, most) = (now.clone(), most.clone());
        let computes = (0..20).map(move |_| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let began = Instant::now();
            while began.elapsed() < Duration::from_millis(2) {
                std::hint::spin_loop();
            }
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(response("x"))
        });
        Ok(Job::now(computes).into())
    });
    let calls: Vec<_> = (0..STREAMS / 2).map(|id| server.call(id)).collect();
    for call in calls {
        assert_eq!(texts(call).len(), 20);
    }
    let processors = thread::available_parallelism().unwrap().get();
    let most = seen.load(Ordering::SeqCst);
    println!("{most} threads computed at once, on {processors} processors");
    // A thread that the kernel preempts for long may count as blocked.
    assert!(most <= processors + 2, "{most} threads computed at once");
}
