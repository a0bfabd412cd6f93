//! Server reflection: both versions answer alike, and invalid requests get an error response.

use std::net::Ipv4Addr;
use std::sync::Arc;

use crate::common::process::{eventually, TEST_TIMEOUT};
use crate::common::proxy::Proxy;
use crate::common::server::TestServer;
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use fanstream::proto::reflection::{
    ExtensionRequest, ServerReflectionRequest,
    ServerReflectionRequest_oneof_message_request as Asked, ServerReflectionResponse,
    ServerReflectionResponse_oneof_message_response as Answer,
};
use fanstream::services::Reflection;
use futures::executor::block_on;
use futures::{SinkExt, StreamExt};
use grpcio::{
    pb_de, pb_ser, CallOption, Channel, ChannelBuilder, Client, ClientDuplexReceiver,
    ClientDuplexSender, Environment, Marshaller, Method, MethodType, RpcStatusCode, WriteFlags,
};
use prost_reflect::prost_types::FileDescriptorProto;
use rstest::rstest;

const V1: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const V1ALPHA: &str = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";

struct Call {
    questions: ClientDuplexSender<ServerReflectionRequest>,
    answers: ClientDuplexReceiver<ServerReflectionResponse>,
    /// Keeps the poll thread alive.
    _channel: Channel,
}

impl Call {
    fn new(channel: &Channel, name: &'static str) -> Call {
        let method = Method {
            ty: MethodType::Duplex,
            name,
            req_mar: Marshaller {
                ser: pb_ser,
                de: pb_de,
            },
            resp_mar: Marshaller {
                ser: pb_ser,
                de: pb_de,
            },
        };
        let options = CallOption::default().timeout(TEST_TIMEOUT);
        let (questions, answers) = Client::new(channel.clone())
            .duplex_streaming(&method, options)
            .unwrap();
        Call {
            questions,
            answers,
            _channel: channel.clone(),
        }
    }

    fn ask(&mut self, asked: Option<Asked>) -> Result<Answer, RpcStatusCode> {
        let request = ServerReflectionRequest {
            host: "here".into(),
            message_request: asked,
            ..ServerReflectionRequest::default()
        };
        let question = (request.clone(), WriteFlags::default());
        // If the call is over, returns its status.
        let _ = block_on(self.questions.send(question));
        match block_on(self.answers.next()) {
            Some(Ok(response)) => {
                assert_eq!(response.valid_host, "here");
                assert_eq!(response.get_original_request(), &request);
                Ok(response.message_response.unwrap())
            }
            Some(Err(grpcio::Error::RpcFailure(status))) => Err(status.code()),
            other => panic!("{other:?}"),
        }
    }

    /// The file names in a response, or its error code.
    #[track_caller]
    fn files(&mut self, asked: Asked) -> Result<Vec<String>, i32> {
        match self.ask(Some(asked)).unwrap() {
            Answer::file_descriptor_response(files) => {
                let files = files.file_descriptor_proto.iter();
                Ok(files
                    .map(|file| {
                        let file: FileDescriptorProto = prost::Message::decode(&file[..]).unwrap();
                        file.name().to_string()
                    })
                    .collect())
            }
            Answer::error_response(error) => Err(error.error_code),
            other => panic!("{other:?}"),
        }
    }
}

fn symbol(name: &str) -> Asked {
    Asked::file_containing_symbol(name.into())
}

#[rstest]
fn both_versions_list_the_services_and_their_files(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
    #[values(V1, V1ALPHA)] version: &'static str,
) {
    let server = TestServer::start(transport, &[]);
    let mut call = Call::new(&server.channel(), version);
    let listed = call.ask(Some(Asked::list_services("*".into()))).unwrap();
    let Answer::list_services_response(listed) = listed else {
        panic!("{listed:?}");
    };
    let names: Vec<_> = listed.service.iter().map(|s| s.name.as_str()).collect();
    let wanted = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "protobuf.StreamService",
    ];
    assert_eq!(names, wanted);
    let stream = Ok(vec!["stream.proto".to_string()]);
    assert_eq!(
        call.files(Asked::file_by_filename("stream.proto".into())),
        stream
    );
    for name in [
        "protobuf.StreamService",
        "protobuf.StreamService.FetchResponse",
        "protobuf.Request",
        "protobuf.Request.id",
    ] {
        assert_eq!(call.files(symbol(name)), stream, "{name}");
    }
    for (name, file) in [
        (
            "grpc.health.v1.HealthCheckResponse.SERVING",
            "grpc/health/v1/health.proto",
        ),
        (
            "grpc.reflection.v1alpha.ErrorResponse",
            "grpc/reflection/v1alpha/reflection.proto",
        ),
    ] {
        assert_eq!(call.files(symbol(name)), Ok(vec![file.into()]));
    }
}

#[rstest]
fn an_unknown_symbol_is_not_found(#[values(V1, V1ALPHA)] version: &'static str) {
    let server = TestServer::start(Clear, &[]);
    let mut call = Call::new(&server.channel(), version);
    let not_found = Err(5);
    // The last two have descriptors but are not served.
    for name in [
        "",
        ".",
        "protobuf",
        "StreamService",
        "protobuf.Request.no",
        "grpc.channelz.v1.Channelz",
        "google.protobuf.Any",
    ] {
        assert_eq!(call.files(symbol(name)), not_found, "{name}");
    }
    let file = |name: &str| Asked::file_by_filename(name.into());
    assert_eq!(call.files(file("../stream.proto")), not_found);
    let extension = |name: &str, extension_number| {
        Asked::file_containing_extension(ExtensionRequest {
            containing_type: name.into(),
            extension_number,
            ..ExtensionRequest::default()
        })
    };
    for number in [-1, 0, 1, i32::MAX] {
        assert_eq!(call.files(extension("protobuf.Request", number)), not_found);
    }
    let numbers = |name: &str| Some(Asked::all_extension_numbers_of_type(name.into()));
    let Ok(Answer::all_extension_numbers_response(none)) = call.ask(numbers("protobuf.Request"))
    else {
        panic!("a type without extensions has none");
    };
    assert_eq!(none.base_type_name, "protobuf.Request");
    assert!(none.extension_number.is_empty());
    let Ok(Answer::error_response(error)) = call.ask(numbers("protobuf.No")) else {
        panic!("there is no such type");
    };
    assert_eq!(error.error_code, 5);
    let Ok(Answer::error_response(error)) = call.ask(None) else {
        panic!("nothing was asked");
    };
    assert_eq!(error.error_code, 3);
    // A request that is too large ends only its own call.
    let large = call.ask(Some(symbol(&"x".repeat(1 << 20))));
    assert_eq!(large, Err(RpcStatusCode::RESOURCE_EXHAUSTED));
    let mut next = Call::new(&server.channel(), version);
    assert!(next.files(symbol("protobuf.Request")).is_ok());
}

#[rstest]
fn open_calls_do_not_delay_shutdown(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = TestServer::start(transport, &["--grace", "1h"]);
    let mut call = Call::new(&server.channel(), V1);
    assert!(call.files(symbol("protobuf.Request")).is_ok());
    server.process.signal("-TERM");
    assert_eq!(server.process.end().code, Some(0));
}

#[test]
fn one_peer_cannot_use_up_all_calls() {
    let server = TestServer::start(Clear, &[]);
    let channel = server.channel();
    let ask = |call: &mut Call| call.ask(Some(symbol("protobuf.Request"))).map(drop);
    let mut held = Vec::new();
    let refused = (0..=1000).find_map(|_| {
        let mut call = Call::new(&channel, V1);
        let answered = ask(&mut call);
        held.push(call);
        answered.err()
    });
    assert_eq!(refused, Some(RpcStatusCode::RESOURCE_EXHAUSTED));
    assert_eq!(held.len(), 251, "a quarter of 1,000 may be open");
    let proxy = Proxy::from(Ipv4Addr::new(127, 0, 0, 2), &server.address);
    let environment = Arc::new(Environment::new(1));
    let other = ChannelBuilder::new(environment).connect(&proxy.address);
    assert_eq!(ask(&mut Call::new(&other, V1)), Ok(()));
    // Ended calls no longer count.
    held.clear();
    eventually(|| ask(&mut Call::new(&channel, V1)).ok());
}

#[test]
fn reflection_can_be_turned_off() {
    let server = TestServer::start(Clear, &["--no-reflection"]);
    let mut call = Call::new(&server.channel(), V1);
    let asked = call.ask(Some(symbol("protobuf.Request")));
    assert_eq!(asked, Err(RpcStatusCode::UNIMPLEMENTED));
    let listed = server.client(&["list"]).end();
    assert_eq!(listed.code, Some(5));
    let why = "client: UNIMPLEMENTED: the server does not have reflection";
    assert_eq!(listed.errors, [why]);
}

#[test]
fn descriptors_of_generated_code_must_be_complete() {
    let stream = fanstream::proto::stream::file_descriptor_proto();
    assert!(Reflection::of_files([stream]).is_ok());
    let mut incomplete = stream.clone();
    incomplete.dependency.push("missing.proto".into());
    let error = Reflection::of_files([&incomplete]).unwrap_err();
    assert!(error.to_string().contains("missing.proto"), "{error}");
    assert!(Reflection::of_set(b"no set").is_err());
}
