//! Measures the cost of an attack: the memory of a server, and the latency of other clients' calls.
//! It contains no attack.

#![allow(dead_code)] // each test program uses its part of it

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use grpcio::{Channel, RpcStatusCode};

use super::server::{send_raw, TestServer, FETCH};

const HEALTH: &str = "/grpc.health.v1.Health/Check";
/// A request of the tutorial.
pub const GOOD: &[u8] = &[0x08, 0x01];
pub const MB: u64 = 1 << 20;

/// Resident bytes.
pub fn memory(server: &TestServer) -> u64 {
    let process = procfs::process::Process::new(server.process.id()).unwrap();
    process.status().unwrap().vmrss.unwrap() * 1024
}

/// Runs `attack`, and returns its result and the largest growth of memory meanwhile.
pub fn growth_during<T>(server: &TestServer, attack: impl FnOnce() -> T) -> (T, u64) {
    /// Stops the sampling thread, also when the attack panics.
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Relaxed);
        }
    }
    let before = memory(server);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let most = scope.spawn(|| {
            let mut most = 0;
            while !is_over.load(Relaxed) {
                most = memory(server).saturating_sub(before).max(most);
                thread::sleep(Duration::from_millis(10));
            }
            most
        });
        let over = Over(&is_over);
        let result = attack();
        drop(over);
        (result, most.join().unwrap())
    })
}

/// Latencies of calls, sorted.
pub struct Latencies(Vec<Duration>);

impl Latencies {
    fn quantile(&self, share: f64) -> Duration {
        self.0[((self.0.len() - 1) as f64 * share) as usize]
    }

    pub fn median(&self) -> Duration {
        self.quantile(0.5)
    }

    pub fn p99(&self) -> Duration {
        self.quantile(0.99)
    }

    pub fn slowest(&self) -> Duration {
        self.quantile(1.0)
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (median, p99, slowest) = (self.median(), self.p99(), self.slowest());
        write!(f, "p50 {median:?}, p99 {p99:?}, slowest {slowest:?}")
    }
}

/// Alternates fetches and health checks, one at a time, until `is_over` returns true. Each call
/// must succeed.
#[track_caller]
pub fn calls_until(channel: &Channel, mut is_over: impl FnMut(usize) -> bool) -> Latencies {
    let mut all = Vec::new();
    for n in 0.. {
        let method = if n % 2 == 0 { FETCH } else { HEALTH };
        let request = if n % 2 == 0 {
            GOOD.to_vec()
        } else {
            Vec::new()
        };
        let began = Instant::now();
        let (responses, status) = send_raw(channel, method, request);
        all.push(began.elapsed());
        assert_eq!((responses, status.code()), (1, RpcStatusCode::OK));
        if is_over(n + 1) {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    all.sort();
    Latencies(all)
}

#[track_caller]
pub fn calls(channel: &Channel, count: usize) -> Latencies {
    calls_until(channel, |made| made == count)
}
