//! Unusual and malformed responses of other servers. The client receives the messages in frames
//! (the patch `0010-framed-messages`), and must see what a client without frames sees.

use std::sync::Arc;
use std::time::Duration;

use fanstream::client::Client;
use fanstream::engine::{receive, Capacity, ReceiveError, ReceiveTimeouts};
use fanstream::proto::stream::Response;
use grpcio::{CallOption, ChannelBuilder, Environment, RpcStatusCode};
use protobuf::Message;
use rstest::rstest;

use super::{request, response, COUNT, SECOND};
use crate::common::raw_server::{Answer, End, RawServer};

/// The texts, and the code of the end; `None` if the call broke without a status.
type Seen = (Vec<String>, Option<RpcStatusCode>);

const TIMEOUT: Duration = Duration::from_secs(20);

const TIMEOUTS: ReceiveTimeouts = ReceiveTimeouts {
    first: Some(TIMEOUT),
    idle: Some(TIMEOUT),
};

fn collect(responses: impl Iterator<Item = Result<Response, ReceiveError>>) -> Seen {
    let mut texts = Vec::new();
    let mut responses = responses.fuse();
    for response in &mut responses {
        match response {
            Ok(response) => texts.push(response.result),
            Err(ReceiveError::Status(status)) => return (texts, Some(status.code())),
            Err(ReceiveError::Broken(_)) => return (texts, None),
            Err(other) => panic!("it hangs: {other}"),
        }
    }
    (texts, Some(RpcStatusCode::OK))
}

fn ours(server: &RawServer) -> Seen {
    let builder = Client::builder(server.address.as_str()).timeouts(TIMEOUTS);
    let mut responses = builder.connect().unwrap().call(&COUNT, request(1));
    let seen = collect(&mut responses);
    assert!(responses.next().is_none(), "an error comes once");
    seen
}

fn without_frames(server: &RawServer) -> Seen {
    let builder = ChannelBuilder::new(Arc::new(Environment::new(1))).max_receive_message_len(-1);
    let client = grpcio::Client::new(builder.connect(&server.address));
    let stream = client.server_streaming(&COUNT, &request(1), CallOption::default());
    let responses = receive(&client, stream.unwrap(), Capacity::default(), TIMEOUTS);
    collect(responses)
}

#[track_caller]
fn both(answer: Answer) -> Seen {
    let text = format!("{:?}", answer.end);
    let server = RawServer::start(answer);
    let (ours, without) = (ours(&server), without_frames(&server));
    assert_eq!(ours, without, "{text}");
    ours
}

fn encoded(text: &str) -> Vec<u8> {
    response(text).write_to_bytes().unwrap()
}

/// A gRPC frame with this type and announced length.
fn frame_with(kind: u8, length: usize, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(length).unwrap().to_be_bytes();
    [&[kind], &length[..], content].concat()
}

fn message(text: &str) -> Vec<u8> {
    let content = encoded(text);
    frame_with(0, content.len(), &content)
}

fn all(frames: &[&str]) -> Vec<u8> {
    frames.iter().flat_map(|text| message(text)).collect()
}

fn answer(data: Vec<Vec<u8>>) -> Answer {
    Answer {
        data,
        ..Answer::default()
    }
}

const LONG: &str = "a text that is longer than the 23 bytes of an inlined slice";
const TEXTS: [&str; 8] = ["", "a", "", LONG, "b", LONG, "", "c"];

/// Each size splits the headers of some frames.
#[rstest]
fn frames_over_many_data_frames(#[values(1, 2, 3, 4, 6, 7, 64, 10_000)] size: usize) {
    let data = all(&TEXTS).chunks(size).map(<[u8]>::to_vec).collect();
    let (texts, code) = both(answer(data));
    assert_eq!(texts, TEXTS);
    assert_eq!(code, Some(RpcStatusCode::OK));
}

#[test]
fn large_frames_in_pieces() {
    let large = "x".repeat(20_000);
    let texts = ["a", &large, "", "b", &large, "c"];
    let data = all(&texts).chunks(4_001).map(<[u8]>::to_vec).collect();
    assert_eq!(both(answer(data)).0, texts);
}

/// HTTP/2 permits empty DATA frames. They may precede, follow and separate messages.
#[test]
fn empty_data_frames_between_messages() {
    let mut data = vec![Vec::new()];
    for text in TEXTS {
        data.extend([message(text), Vec::new()]);
    }
    let (texts, code) = both(answer(data));
    assert_eq!(texts, TEXTS);
    assert_eq!(code, Some(RpcStatusCode::OK));
}

#[rstest]
#[case::in_the_header(3)]
#[case::after_the_header(5)]
#[case::in_the_content(30)]
fn an_empty_data_frame_in_a_message(#[case] at: usize) {
    let (head, tail) = (&message(LONG)[..at], &message(LONG)[at..]);
    let data = vec![head.to_vec(), Vec::new(), tail.to_vec(), message(LONG)];
    let (texts, code) = both(answer(data));
    assert_eq!(texts, [LONG, LONG]);
    assert_eq!(code, Some(RpcStatusCode::OK));
}

/// The messages before a bad frame arrive if the client has read them before.
#[rstest]
#[case::type_2(frame_with(2, 1, &[0]), RpcStatusCode::UNKNOWN)]
#[case::type_255(frame_with(255, 0, &[]), RpcStatusCode::UNKNOWN)]
fn a_frame_of_an_unknown_type(#[case] bad: Vec<u8>, #[case] code: RpcStatusCode) {
    for before in [&[][..], &["a"], &["a", "b", LONG]] {
        for split in [false, true] {
            let data = match split {
                true => vec![all(before), bad.clone(), message("late")],
                false => vec![[all(before), bad.clone(), message("late")].concat()],
            };
            let server = RawServer::start(answer(data));
            for (texts, end) in [ours(&server), without_frames(&server)] {
                assert!(before.starts_with(&refs(&texts)), "{texts:?}");
                assert_eq!(end, Some(code), "{before:?} {split}");
            }
        }
    }
}

fn refs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

/// A part of a message and the status OK are no success.
#[rstest]
#[case::in_the_header(vec![0, 0, 0])]
#[case::without_content(frame_with(0, 1, &[]))]
#[case::in_the_content(frame_with(0, 100, &[0; 99]))]
#[case::of_4_mib(frame_with(0, 4 << 20, &[0; 100]))]
fn a_frame_that_ends_with_the_stream(#[case] bad: Vec<u8>, #[values(1, 3)] messages: usize) {
    let before = &["a", LONG, "c"][..messages];
    for end in [End::Ok, End::Data, End::Reset] {
        let data = vec![[all(before), bad.clone()].concat()];
        let answer = Answer {
            data,
            end,
            ..Answer::default()
        };
        // A failure may overtake messages, so both clients may miss some of them.
        let (texts, code) = match end {
            End::Ok => both(answer),
            _ => ours(&RawServer::start(answer)),
        };
        assert!(before.starts_with(&refs(&texts)), "{texts:?}");
        if end == End::Ok {
            assert_eq!(
                (refs(&texts), code),
                (before.to_vec(), Some(RpcStatusCode::INTERNAL))
            );
        } else {
            assert!(
                code.is_some_and(|code| code != RpcStatusCode::OK),
                "{end:?} {code:?}"
            );
        }
    }
}

/// A message that is announced and never comes ends with the timeout, not earlier and not never.
#[test]
fn a_frame_that_never_comes() {
    let server = RawServer::start(Answer {
        data: vec![[message("a"), frame_with(0, 4 << 20, &[0; 100])].concat()],
        end: End::Never,
        ..Answer::default()
    });
    let builder = Client::builder(server.address.as_str()).timeouts(ReceiveTimeouts {
        first: Some(TIMEOUT),
        idle: Some(SECOND / 4),
    });
    let mut responses = builder.connect().unwrap().call(&COUNT, request(1));
    assert_eq!(responses.next().unwrap().unwrap().result, "a");
    let end = responses.next();
    assert!(
        matches!(end, Some(Err(ReceiveError::IdleTimeout(_)))),
        "{end:?}"
    );
    assert!(responses.next().is_none());
}

/// compression.md: INTERNAL.
#[test]
fn a_compressed_flag_without_an_encoding() {
    let content = encoded(LONG);
    let flagged = frame_with(1, content.len(), &content);
    let server = RawServer::start(answer(vec![[message("a"), flagged].concat()]));
    for (texts, code) in [ours(&server), without_frames(&server)] {
        assert!(["a"].starts_with(&refs(&texts)), "{texts:?}");
        assert_eq!(code, Some(RpcStatusCode::INTERNAL));
    }
}

#[test]
fn compressed_content_that_is_not_compressed() {
    let flagged = frame_with(1, 50, &[7; 50]);
    let server = RawServer::start(Answer {
        data: vec![[message("a"), flagged].concat()],
        encoding: Some("gzip"),
        ..Answer::default()
    });
    for (texts, code) in [ours(&server), without_frames(&server)] {
        assert!(["a"].starts_with(&refs(&texts)), "{texts:?}");
        assert_eq!(code, Some(RpcStatusCode::INTERNAL));
    }
}

/// Of a sequence of frames that arrives whole, the messages before the bad one are good.
#[rstest]
#[case::at_once(1_000)]
#[case::one_by_one(1)]
fn a_message_that_cannot_be_decoded(#[case] size: usize) {
    let bad = frame_with(0, 3, &[0xff; 3]);
    let bytes = [all(&["a", LONG]), bad, message("late")].concat();
    let data = bytes.chunks(size).map(<[u8]>::to_vec).collect();
    let (texts, code) = both(answer(data));
    assert_eq!((refs(&texts), code), (vec!["a", LONG], None));
}
