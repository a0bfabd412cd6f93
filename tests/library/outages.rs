//! A server that is gone for a while, and what its clients notice.

use std::thread;
use std::time::{Duration, Instant};

use fanstream::client::Client;
use fanstream::server::Server;

use crate::{count, echo, request, texts, unused, COUNT, ECHO, SECOND};

/// With the C-core's own pauses between attempts, the next one would begin seconds later.
const OUTAGE: Duration = Duration::from_secs(6);

const BACK_WITHIN: Duration = Duration::from_secs(3);

fn start_at(address: &str) -> Server {
    let services = Server::builder().add_service(echo()).add_service(count());
    services.listen(address).start().unwrap()
}

#[test]
fn clients_are_back_soon_after_their_server() {
    let address = unused();
    let server = start_at(&address);
    let builder = || Client::builder(address.as_str()).timeout(60 * SECOND);
    let connected = builder().connect().unwrap();
    assert_eq!(texts(&connected, 1), ["0"]);
    server.shutdown(Duration::ZERO);

    let gone = Instant::now();
    let lazy = builder().connect_lazy().unwrap();
    let waiting = builder().wait_for_ready(true).connect_lazy().unwrap();
    let waiting = thread::spawn(move || {
        let answer = waiting.unary(&ECHO, request(1));
        (answer.map(|answer| answer.result), Instant::now())
    });
    let calls = [
        |client: &Client| client.unary(&ECHO, request(1)).is_ok(),
        |client: &Client| client.call(&COUNT, request(1)).all(|next| next.is_ok()),
    ];
    let attempts = [&connected, &lazy].map(|client| calls.map(|call| (client, call)));
    while gone.elapsed() < OUTAGE {
        let failed = attempts
            .iter()
            .flatten()
            .all(|(client, call)| !call(client));
        assert!(failed, "nobody listens");
        thread::sleep(Duration::from_millis(100));
    }
    let _server = start_at(&address);
    let back = Instant::now();
    for (client, call) in attempts.iter().flatten() {
        while !call(client) {
            assert!(back.elapsed() < BACK_WITHIN, "{:?}", back.elapsed());
            thread::sleep(Duration::from_millis(10));
        }
    }
    let (answer, answered) = waiting.join().unwrap();
    assert_eq!(answer.unwrap(), "1");
    let took = answered.saturating_duration_since(back);
    assert!(took < BACK_WITHIN, "{took:?}");
}
