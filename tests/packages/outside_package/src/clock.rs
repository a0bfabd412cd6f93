//! Generated code for prost that the logs do not have: a message within another, a map, a `oneof`, and
//! messages of other packages.

use fanstream::client::Client;
use fanstream::engine::codec::Prost;
use fanstream::prost_types::Timestamp;
use fanstream::server::Service;
use fanstream::BoxError;

use crate::by_prost::clock::v1::hand::{position::Type, Kind, Position};
use crate::by_prost::clock::v1::{METHOD_CLOCK_FACE, METHOD_CLOCK_NOW};
use crate::by_prost::logs::v1::Line;

const NOW: Timestamp = Timestamp {
    seconds: 60,
    nanos: 0,
};

pub fn service() -> Service {
    Service::new()
        .unary(&METHOD_CLOCK_NOW, |_call, Prost(())| Ok(Prost(NOW)))
        .unary(&METHOD_CLOCK_FACE, |_call, line: Line| {
            let text = line.number.to_string();
            Ok(Position {
                kind: Kind::Minute.into(),
                time: Some(NOW),
                lines: [("now".into(), line)].into(),
                r#type: Some(Type::Text(text)),
            })
        })
}

pub fn ask(client: &Client, text: &str) -> Result<(), BoxError> {
    let now = client.unary(&METHOD_CLOCK_NOW, Prost(()))?;
    println!("it is {}", *now);
    let (number, text) = (7, text.into());
    let face = client.unary(&METHOD_CLOCK_FACE, Line { number, text })?;
    println!("{:?} {:?} {:?}", face.kind(), face.r#type, face.lines);
    Ok(())
}
