//! `grpc.channelz.v1.Channelz`: served with `--channelz`, with the data of the C-core.

use crate::common::process::TEST_TIMEOUT;
use crate::common::server::TestServer;
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use grpcio::{CallOption, Channel, Client, Marshaller, Method, MethodType, RpcStatusCode};
use rstest::rstest;

#[rstest]
fn channelz_is_served_only_with_its_flag(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = TestServer::start(transport, &["--channelz"]);
    let described = server.client(&["describe", "grpc.channelz.v1.Channelz.GetServers"]);
    assert_eq!(described.end().code, Some(0));
    let health = server.client(&["health", "grpc.channelz.v1.Channelz"]);
    assert_eq!(health.end().output, ["SERVING"]);
    let channel = server.channel();
    let (status, first) = channelz(&channel, "/grpc.channelz.v1.Channelz/GetServers", &[]);
    assert_eq!(status, RpcStatusCode::OK);
    assert!(first.windows(8).any(|part| part == b"chttp2 l"), "listener");
    // One of its sockets is that of the test's channel.
    let socket = |id: &[u8]| channelz(&channel, "/grpc.channelz.v1.Channelz/GetSocket", id);
    let mut sockets = (1..100).map(|id| socket(&[8, id]));
    let found = sockets.find(|(status, socket)| {
        let here = socket.windows(4).any(|part| part == [127, 0, 0, 1]);
        *status == RpcStatusCode::OK && here
    });
    assert!(found.is_some());
    assert_eq!(socket(&[8, 0xbf, 0x84, 0x3d]).0, RpcStatusCode::NOT_FOUND);
    let large = vec![0; 1 << 20];
    let (status, _) = channelz(&channel, "/grpc.channelz.v1.Channelz/GetServers", &large);
    assert_eq!(status, RpcStatusCode::RESOURCE_EXHAUSTED);
    let off = TestServer::start(Clear, &[]);
    let (status, _) = channelz(&off.channel(), "/grpc.channelz.v1.Channelz/GetServers", &[]);
    assert_eq!(status, RpcStatusCode::UNIMPLEMENTED);
}

fn channelz(channel: &Channel, name: &'static str, request: &[u8]) -> (RpcStatusCode, Vec<u8>) {
    const BYTES: Marshaller<Vec<u8>> = Marshaller {
        ser: |bytes, buffer| {
            *buffer = bytes.clone().into();
            Ok(())
        },
        de: |mut reader| {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut reader, &mut bytes).unwrap();
            Ok(bytes)
        },
    };
    let method = Method {
        ty: MethodType::Unary,
        name,
        req_mar: BYTES,
        resp_mar: BYTES,
    };
    let options = CallOption::default().timeout(TEST_TIMEOUT);
    let client = Client::new(channel.clone());
    match client.unary_call(&method, &request.to_vec(), options) {
        Ok(response) => (RpcStatusCode::OK, response),
        Err(grpcio::Error::RpcFailure(status)) => (status.code(), Vec::new()),
        Err(other) => panic!("{other}"),
    }
}
