//! The server of a scenario, and the plans of its calls: the id in a request is the number of a
//! plan. It knows no reader.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use fanstream::engine::{CallContext, Jobs, WorkersConfig};
use fanstream::proto::stream::{Request, Response};
use fanstream::server::{Server, Service};
use fanstream::tutorial::FETCH_RESPONSE;

use super::producer::Producer;

/// The most workers, unless the machine has many processors. Enough for every call of a scenario to
/// block one.
const MAX_THREADS: usize = 64;

/// A server on a free port. It has a poll thread for each processor.
pub struct Host {
    server: Server,
    pub entry: Entry,
}

/// What the threads of clients need of a [`Host`].
pub struct Entry {
    pub address: String,
    plans: Arc<Plans>,
}

#[derive(Default)]
struct Plans {
    /// That of id n at n - 1.
    producers: Mutex<Vec<Producer>>,
    computing: Arc<AtomicUsize>,
}

impl Host {
    pub fn start() -> Host {
        let plans = Arc::new(Plans::default());
        let of_service = plans.clone();
        let open = move |_: &CallContext, request: Request| Ok(of_service.jobs(request.id));
        let service = Service::new().server_streaming(&FETCH_RESPONSE, open);
        let workers = WorkersConfig {
            max_threads: MAX_THREADS.max(4 * processors()),
            ..WorkersConfig::default()
        };
        let server = Server::builder()
            .listen("127.0.0.1:0")
            .workers(workers)
            .add_service(service)
            .start()
            .unwrap();
        let address = server.bound()[0].address.to_string();
        Host {
            server,
            entry: Entry { address, plans },
        }
    }

    /// Waits until no call is left, not even one whose producer still runs.
    pub fn wait_until_empty(&self, bound: Duration) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let open = self.server.streams().open();
            if open == 0 {
                return Ok(());
            }
            if began.elapsed() > bound {
                return Err(format!(
                    "{open} calls are open {bound:?} after all clients left"
                ));
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Entry {
    /// Plans a call; returns the id for its request.
    pub fn plan(&self, producer: Producer) -> i32 {
        let mut producers = self.plans.producers.lock().unwrap();
        producers.push(producer);
        i32::try_from(producers.len()).unwrap()
    }

    /// The computations that have begun.
    pub fn computing(&self) -> usize {
        self.plans.computing.load(SeqCst)
    }
}

impl Plans {
    fn jobs(&self, id: i32) -> Jobs<Response> {
        let producer = self.producers.lock().unwrap()[id as usize - 1];
        producer.jobs(id, &self.computing)
    }
}

pub fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
