//! Many streams open at once, each with five responses a step apart: the lateness of
//! responses, and the memory and threads of the server. The client is this process on the same
//! cores; its share of the lateness counts against the server.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{mpsc, Arc};
use std::time::{Duration, Instant};

use anyhow::{ensure, Result};
use hdrhistogram::Histogram;

use crate::common::usage::{Usage, Watch};
use crate::process::shipped;
use crate::report::{heading, megabytes, target};
use crate::traffic::{collect, follow, ramp, End, Traffic};

const RESPONSES: u32 = 5;
const CONNECTIONS: usize = 10;

/// The targets hold for 10,000 streams.
const STREAMS: usize = 10_000;
const LATE_AT_MOST: Duration = Duration::from_millis(100);
const MEMORY_AT_MOST: u64 = 180_000_000;
const THREADS_AT_MOST: u64 = 32;

/// The observations of one call.
struct Call {
    requested: Instant,
    arrivals: Vec<Instant>,
    in_order: bool,
    end: End,
}

pub fn measure(streams: usize, rate: usize) -> Result<()> {
    let step = step(streams, rate);
    let flags = format!(
        "--listen 127.0.0.1:0 --responses {RESPONSES} --step {}s --max-streams {most} \
         --max-streams-per-connection {most} --log-level warn",
        step.as_secs(),
        most = streams + 1,
    );
    heading("open-streams", &format!("{streams} streams open at once"));
    println!("server {flags}");
    println!("{CONNECTIONS} connections, {rate} calls started a second, client on the same cores");

    let server = shipped(&flags.split(' ').collect::<Vec<_>>())?;
    let idle = Usage::of(server.pid())?;
    let watch = Watch::start(server.pid());
    let traffic = Traffic::new(server.address(), CONNECTIONS);
    let (most_open, ramped, calls) = run(&traffic, streams, rate, step)?;
    let threads = watch.stop()?;
    let memory = Usage::of(server.pid())?.peak_memory;

    for call in &calls {
        let count = call.arrivals.len();
        ensure!(call.end == End::OK, "a call ended with {:?}", call.end);
        ensure!(count == RESPONSES as usize, "a call got {count} responses");
        ensure!(call.in_order, "a call got its responses in another order");
    }
    println!("all {streams} calls complete, in order, OK; most open at once: {most_open}");
    println!("lateness in ms           p50     p99     max");
    let late = lateness(&calls, step, |_| true)?;
    print_lateness("all responses", &late);
    let late = lateness(&calls, step, |due| due >= ramped)?;
    print_lateness("due after the ramp", &late);
    println!(
        "server: peak memory {:.0} MB (idle {:.0} MB), peak threads {threads}",
        megabytes(memory),
        megabytes(idle.memory)
    );
    if streams != STREAMS {
        return Ok(());
    }
    let p99 = Duration::from_micros(late.value_at_quantile(0.99));
    target(
        &format!("p99 after the ramp at most {LATE_AT_MOST:?}"),
        p99 <= LATE_AT_MOST,
    );
    target(
        &format!("peak memory at most {:.0} MB", megabytes(MEMORY_AT_MOST)),
        memory <= MEMORY_AT_MOST,
    );
    target(
        &format!("at most {THREADS_AT_MOST} threads"),
        threads <= THREADS_AT_MOST,
    );
    Ok(())
}

/// A second, or longer if the first stream would otherwise end before the last one starts.
fn step(streams: usize, rate: usize) -> Duration {
    let ramp = streams.div_ceil(rate) as u64;
    Duration::from_secs(ramp.div_ceil(u64::from(RESPONSES) - 2).max(1))
}

/// Runs all calls; returns the peak of open calls and the start of the last one.
fn run(
    traffic: &Traffic,
    streams: usize,
    rate: usize,
    step: Duration,
) -> Result<(usize, Instant, Vec<Call>)> {
    let (sender, reports) = mpsc::channel();
    let open = Arc::new(AtomicUsize::new(0));
    let mut most_open = 0;
    ramp(streams, rate, |n| {
        let (sender, open_now) = (sender.clone(), open.clone());
        let mut call = Call {
            requested: Instant::now(),
            arrivals: Vec::with_capacity(RESPONSES as usize),
            in_order: true,
            end: End::Broken,
        };
        let mut responses = traffic.call(n)?;
        most_open = most_open.max(open.fetch_add(1, Ordering::Relaxed) + 1);
        traffic.spawn(n, async move {
            let (arrivals, in_order) = (&mut call.arrivals, &mut call.in_order);
            call.end = follow(&mut responses, |k, response| {
                arrivals.push(Instant::now());
                *in_order &= response.result == format!("Request #{k} For Id:{n}");
                ControlFlow::Continue(())
            })
            .await;
            open_now.fetch_sub(1, Ordering::Relaxed);
            // The receiver is gone if the measurement has failed.
            let _ = sender.send(call);
        });
        Ok(())
    })?;
    let ramped = Instant::now();
    let timeout = step * RESPONSES + Duration::from_secs(30);
    Ok((most_open, ramped, collect(&reports, streams, timeout)?))
}

/// The lateness in microseconds of responses whose due time is `wanted`.
fn lateness(
    calls: &[Call],
    step: Duration,
    wanted: impl Fn(Instant) -> bool,
) -> Result<Histogram<u64>> {
    let mut histogram = Histogram::new(3)?;
    for call in calls {
        for (k, arrival) in (0..).zip(&call.arrivals) {
            let due = call.requested + step * k;
            if wanted(due) {
                let late = arrival.saturating_duration_since(due);
                histogram.record(late.as_micros() as u64)?;
            }
        }
    }
    Ok(histogram)
}

fn print_lateness(what: &str, late: &Histogram<u64>) {
    let ms = |micros: u64| micros as f64 / 1e3;
    println!(
        "{what:<20} {:>7.1} {:>7.1} {:>7.1}   ({} responses)",
        ms(late.value_at_quantile(0.5)),
        ms(late.value_at_quantile(0.99)),
        ms(late.max()),
        late.len()
    );
}
