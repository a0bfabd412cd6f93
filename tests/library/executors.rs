//! Callers on a thread that runs an executor, which does not let another one run there: what blocks
//! works there too.

use std::sync::Arc;

use fanstream::client::{Client, ConnectError};
use fanstream::engine::{receive, Capacity, ReceiveTimeouts};
use fanstream::services::ServingStatus;
use futures::executor::block_on;
use grpcio::{CallOption, ChannelBuilder, Environment};

use crate::{builder, count, echo, request, unused, COUNT, ECHO, SECOND};

#[test]
fn a_client_works_within_an_executor() {
    block_on(async {
        let service = fanstream::tutorial::service(Default::default());
        let services = builder().add_service(echo()).add_service(count());
        let server = services.add_service(service).start().unwrap();
        let of = || Client::builder(server.address()).timeout(30 * SECOND);
        for client in [of().connect().unwrap(), of().connect_lazy().unwrap()] {
            assert_eq!(client.unary(&ECHO, request(7)).unwrap().result, "7");
            assert_eq!(crate::texts(&client, 3), ["0", "1", "2"]);
            let mut stream = client.call(&COUNT, request(1));
            let first = stream.next_timeout(30 * SECOND).unwrap();
            assert_eq!(first.unwrap().unwrap().result, "0");
            assert!(stream.next_timeout(30 * SECOND).unwrap().is_none());
            assert_eq!(client.health("").unwrap(), ServingStatus::SERVING);
            let mut protos = client.protos().unwrap();
            assert!(protos.describe("protobuf.StreamService").is_ok());
        }
        server.shutdown(SECOND);
    });
}

/// The reason comes from a call.
#[test]
fn a_client_that_cannot_connect_says_why_within_an_executor() {
    let refused = block_on(async { Client::builder(unused()).retries(1).connect() });
    match refused.unwrap_err() {
        ConnectError::Failed { reason, .. } => assert_eq!(reason, "connection refused"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn responses_of_a_call_by_grpcio_arrive_within_an_executor() {
    let server = builder().add_service(count()).start().unwrap();
    let received: Vec<_> = block_on(async {
        let channel = ChannelBuilder::new(Arc::new(Environment::new(1)));
        let client = grpcio::Client::new(channel.connect(&server.address().to_string()));
        let call = client.server_streaming(&COUNT, &request(2), CallOption::default());
        let timeouts = ReceiveTimeouts::default();
        let responses = receive(&client, call.unwrap(), Capacity::default(), timeouts);
        responses.map(|response| response.unwrap().result).collect()
    });
    assert_eq!(received, ["0", "1"]);
}
