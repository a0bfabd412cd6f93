//! The cost of scraping the metrics of a server at full load. It scrapes ten times as
//! often as Prometheus at its fastest usual setting, to get a measurable effect.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{ensure, Context, Result};

use crate::common::machine::{pin_to, CLIENT_CORE, SERVER_CORE};
use crate::drain_client::{cost, Mode};
use crate::process::{shipped_binary, start};
use crate::report::{heading, target, Pairs, Spread};

const RESPONSES: u32 = 200_000;
const CALLS: u32 = 5;
const EVERY: Duration = Duration::from_millis(100);
/// Scrapes here for each scrape of Prometheus.
const SCALE: f64 = 10.0;
const AT_MOST: f64 = 0.01;
const FLAGS: &str = "--listen 127.0.0.1:0 --responses 200000 --step 0s --log-level warn";
const NAMES: [&str; 2] = ["unwatched", "scraped"];

pub fn measure(rounds: u32) -> Result<()> {
    heading(
        "scrape-cost",
        "server at full load, with metrics scraped and without",
    );
    println!(
        "{CALLS} calls of {RESPONSES} tutorial-sized messages a round, after one to warm up; \
         server on core {SERVER_CORE}, client and scraper on core {CLIENT_CORE}"
    );
    println!("unwatched: server {FLAGS}; scraped: with --metrics, every {EVERY:?}");
    let mut seconds = [Vec::new(), Vec::new()];
    let mut scrapes = Vec::new();
    let pairs = Pairs::measure(NAMES, "µs", rounds, |variant| {
        let mut flags: Vec<&str> = FLAGS.split(' ').collect();
        if variant == 1 {
            flags.extend(["--metrics", "127.0.0.1:0"]);
        }
        let server = start(Some(SERVER_CORE), &shipped_binary()?, &flags)?;
        let scraper = match variant {
            1 => Some(Scraper::start(server.line_behind("metrics on ")?)),
            _ => None,
        };
        let began = Instant::now();
        let cpu = cost(&server, Mode::Engine, CALLS, RESPONSES)?.server;
        seconds[variant].push(began.elapsed().as_secs_f64());
        if let Some(scraper) = scraper {
            scrapes.extend(scraper.stop()?);
        }
        anyhow::Ok(cpu)
    })?;
    println!("server CPU per message:");
    pairs.print();
    let [unwatched, scraped] = seconds;
    let whole_runs = Pairs {
        names: NAMES,
        unit: "s",
        rounds: unwatched
            .into_iter()
            .zip(scraped)
            .map(<[f64; 2]>::from)
            .collect(),
    };
    println!("time of a whole run, the client's start included:");
    whole_runs.print();
    let milliseconds = scrapes.iter().map(|time| time.as_secs_f64() * 1e3);
    println!(
        "{} scrapes took {} ms",
        scrapes.len(),
        Spread::of(milliseconds)
    );
    for (what, ratio) in [
        ("server CPU", pairs.ratio().median),
        ("throughput", whole_runs.ratio().median),
    ] {
        let a_second = (ratio - 1.0) / SCALE;
        println!("{what}, scraped once a second: {:+.2} %", a_second * 100.0);
        target("under 1 %", a_second < AT_MOST);
    }
    Ok(())
}

/// A thread that scrapes until it is stopped.
struct Scraper {
    stop: Sender<()>,
    thread: JoinHandle<Result<Vec<Duration>>>,
}

impl Scraper {
    fn start(address: String) -> Scraper {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            pin_to(CLIENT_CORE)?;
            let mut took = Vec::new();
            loop {
                let began = Instant::now();
                scrape(&address).context("a scrape")?;
                took.push(began.elapsed());
                if stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
                    return Ok(took);
                }
            }
        });
        Scraper { stop, thread }
    }

    /// Stops and returns the duration of each scrape.
    fn stop(self) -> Result<Vec<Duration>> {
        drop(self.stop);
        let ended = self.thread.join();
        ended.map_err(|_| anyhow::anyhow!("the scraper panicked"))?
    }
}

fn scrape(address: &str) -> Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: budgets\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    ensure!(text.ends_with("# EOF\n"), "no metrics but: {text}");
    Ok(())
}
