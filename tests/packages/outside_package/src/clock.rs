//! The generated code for prost: a service, and a client of it and of the other service.

use std::error::Error;

use fanstream::client::Client;
use fanstream::engine::codec::Prost;
use fanstream::prost_types::Timestamp;
use fanstream::server::Service;

mod proto {
    fanstream::include_protos!("by_prost");
}
use proto::clock::v1::hand::{position::Type, Kind, Position};
use proto::clock::v1::{METHOD_CLOCK_FACE, METHOD_CLOCK_NOW};
use proto::ticker::{Tick, WatchRequest, METHOD_TICKER_WATCH};

const NOW: Timestamp = Timestamp {
    seconds: 60,
    nanos: 0,
};

pub fn service() -> Service {
    Service::new()
        .unary(&METHOD_CLOCK_NOW, |_call, Prost(())| Ok(Prost(NOW)))
        .unary(&METHOD_CLOCK_FACE, |_call, tick: Tick| {
            let text = tick.number.to_string();
            Ok(Position {
                kind: Kind::Minute.into(),
                time: Some(NOW),
                ticks: [("now".into(), tick)].into(),
                r#type: Some(Type::Text(text)),
            })
        })
}

/// Prints three ticks of the other service, and what this service answers.
pub fn ask(client: &Client) -> Result<(), Box<dyn Error>> {
    for tick in client.call(&METHOD_TICKER_WATCH, WatchRequest { ticks: 3 }) {
        println!("tick {}", tick?.number);
    }
    let now = client.unary(&METHOD_CLOCK_NOW, Prost(()))?;
    println!("it is {}", *now);
    let face = client.unary(&METHOD_CLOCK_FACE, Tick { number: 7 })?;
    println!("{:?} {:?} {:?}", face.kind(), face.r#type, face.ticks);
    Ok(())
}
