//! The same methods with messages of four codecs: rust-protobuf, prost, bytes as they are, and a codec of
//! this test.

use std::io::Read;

use fanstream::client::Client;
use fanstream::engine::codec::{method, Message, RawBytes};
use fanstream::engine::ReceiveError;
use fanstream::proto::stream as rust_protobuf;
use fanstream::server::Service;
use grpcio::{MessageReader, Method, MethodType};
use protobuf::Message as _;

/// The messages of `stream.proto` by prost.
mod by_prost {
    #[derive(Clone, PartialEq, fanstream::prost::Message)]
    #[prost(prost_path = "fanstream::prost")]
    pub struct Request {
        #[prost(int32, tag = "1")]
        pub id: i32,
    }

    #[derive(Clone, PartialEq, fanstream::prost::Message)]
    #[prost(prost_path = "fanstream::prost")]
    pub struct Response {
        #[prost(string, tag = "1")]
        pub result: String,
    }

    fanstream::prost_messages! {
        Request = "protobuf.Request",
        Response,
    }
}

/// A codec with what the trait demands, and no more.
pub struct Own(Vec<u8>);

impl Message for Own {
    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn encode_to(&self, bytes: &mut [u8]) -> grpcio::Result<()> {
        bytes.copy_from_slice(&self.0);
        Ok(())
    }

    fn decode_from(mut reader: MessageReader) -> grpcio::Result<Own> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        Ok(Own(bytes))
    }
}

/// A codec of both sides' messages.
pub trait Codec {
    type Request: Message;
    type Response: Message;

    fn request(id: i32) -> Self::Request;
    fn id(request: &Self::Request) -> i32;
    fn response(text: String) -> Self::Response;
    fn text(response: Self::Response) -> String;
}

pub struct RustProtobuf;

impl Codec for RustProtobuf {
    type Request = rust_protobuf::Request;
    type Response = rust_protobuf::Response;

    fn request(id: i32) -> rust_protobuf::Request {
        crate::request(id)
    }

    fn id(request: &rust_protobuf::Request) -> i32 {
        request.id
    }

    fn response(text: String) -> rust_protobuf::Response {
        crate::response(text)
    }

    fn text(response: rust_protobuf::Response) -> String {
        response.result
    }
}

pub struct ByProst;

impl Codec for ByProst {
    type Request = by_prost::Request;
    type Response = by_prost::Response;

    fn request(id: i32) -> by_prost::Request {
        by_prost::Request { id }
    }

    fn id(request: &by_prost::Request) -> i32 {
        request.id
    }

    fn response(result: String) -> by_prost::Response {
        by_prost::Response { result }
    }

    fn text(response: by_prost::Response) -> String {
        response.result
    }
}

/// Bytes in the messages, of which rust-protobuf makes and reads the content.
macro_rules! codec_of_bytes {
    ($name:ident, $message:ident) => {
        pub struct $name;

        impl Codec for $name {
            type Request = $message;
            type Response = $message;

            fn request(id: i32) -> $message {
                $message(crate::request(id).write_to_bytes().unwrap())
            }

            fn id(request: &$message) -> i32 {
                rust_protobuf::Request::parse_from_bytes(&request.0)
                    .unwrap()
                    .id
            }

            fn response(text: String) -> $message {
                $message(crate::response(text).write_to_bytes().unwrap())
            }

            fn text(response: $message) -> String {
                rust_protobuf::Response::parse_from_bytes(&response.0)
                    .unwrap()
                    .result
            }
        }
    };
}
codec_of_bytes!(Raw, RawBytes);
codec_of_bytes!(ByOwn, Own);

pub const fn count<C: Codec>() -> Method<C::Request, C::Response> {
    method(MethodType::ServerStreaming, "/test.Codecs/Count")
}

pub const fn echo<C: Codec>() -> Method<C::Response, C::Response> {
    method(MethodType::Unary, "/test.Codecs/Echo")
}

/// Sizes of texts: around that of a message without an allocation, those that share a message of the
/// C-core, and one that fills the limit, with five bytes for its field.
pub const SIZES: [usize; 12] = [
    0,
    1,
    44,
    45,
    46,
    47,
    200,
    4_000,
    5_000,
    20_000,
    100_000,
    4 * 1024 * 1024 - 5,
];

/// The number of messages before these sizes, of which many are joined.
const SMALL: i32 = 1_000;

fn all_texts(id: i32) -> impl Iterator<Item = String> {
    let small = (0..id).map(|n| n.to_string());
    small.chain(SIZES.map(|size| "x".repeat(size)))
}

fn service<C: Codec + 'static>() -> Service {
    Service::new()
        .server_streaming(&count::<C>(), |_, request| {
            Ok(all_texts(C::id(&request)).map(|text| Ok(C::response(text))))
        })
        .unary(&echo::<C>(), |_, request| Ok(C::response(C::text(request))))
}

fn stream<C: Codec>(client: &Client) -> Vec<String> {
    let responses = client.call(&count::<C>(), C::request(SMALL));
    responses
        .map(|response| C::text(response.unwrap()))
        .collect()
}

fn repeat<C: Codec>(client: &Client, text: String) -> Result<String, ReceiveError> {
    client.unary(&echo::<C>(), C::response(text)).map(C::text)
}

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    RustProtobuf,
    Prost,
    Raw,
    Own,
}

impl Kind {
    pub fn service(self) -> Service {
        match self {
            Kind::RustProtobuf => service::<RustProtobuf>(),
            Kind::Prost => service::<ByProst>(),
            Kind::Raw => service::<Raw>(),
            Kind::Own => service::<ByOwn>(),
        }
    }

    fn stream(self, client: &Client) -> Vec<String> {
        match self {
            Kind::RustProtobuf => stream::<RustProtobuf>(client),
            Kind::Prost => stream::<ByProst>(client),
            Kind::Raw => stream::<Raw>(client),
            Kind::Own => stream::<ByOwn>(client),
        }
    }

    pub fn repeat(self, client: &Client, text: String) -> Result<String, ReceiveError> {
        match self {
            Kind::RustProtobuf => repeat::<RustProtobuf>(client, text),
            Kind::Prost => repeat::<ByProst>(client, text),
            Kind::Raw => repeat::<Raw>(client, text),
            Kind::Own => repeat::<ByOwn>(client, text),
        }
    }

    /// The texts of a streaming call, and those that a unary one repeats, are right.
    #[track_caller]
    pub fn check(self, client: &Client) {
        let same = |received: &String, sent: &String| {
            received == sent || panic!("{:.20} instead of {:.20}", received, sent)
        };
        let received = self.stream(client);
        let sent: Vec<_> = all_texts(SMALL).collect();
        assert_eq!(received.len(), sent.len());
        assert!(received.iter().zip(&sent).all(|(a, b)| same(a, b)));
        for size in SIZES {
            let text = "y".repeat(size);
            let repeated = self.repeat(client, text.clone());
            assert!(same(&repeated.unwrap(), &text));
        }
    }
}
