//! TLS in the `server` binary: client certificates, error messages, and certificates that are
//! reloaded without disturbing open streams.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::common::certificates::{write_secret, Authority, Files};
use crate::common::process::{eventually, Process, TEST_TIMEOUT};
use crate::common::server::{server, TestServer};
use crate::common::transport::Transport::{MutualTls, Tls};
use crate::common::transport::{path, SERVER_NAMES};
use fanstream::address::Address;
use fanstream::client::Client;
use fanstream::engine::{receive, Capacity, ReceiveTimeouts, Responses, StreamsConfig};
use fanstream::proto::stream::{Request, Response};
use fanstream::proto::stream_grpc::StreamServiceClient;
use fanstream::security::{ClientTls, ServerTls};
use fanstream::server::Server;
use fanstream::tutorial::{fetch, service, Tutorial};
use grpcio::{Channel, ChannelBuilder, ChannelCredentialsBuilder, Environment};
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode};
use openssl::x509::X509;

/// The certificate and the negotiated protocol of a new connection.
fn shown(address: &str) -> (X509, Option<Vec<u8>>) {
    let mut connector = SslConnector::builder(SslMethod::tls()).unwrap();
    connector.set_verify(SslVerifyMode::NONE);
    connector.set_alpn_protos(b"\x02h2").unwrap();
    let stream = TcpStream::connect(address).unwrap();
    let timeout = Some(Duration::from_secs(30));
    stream.set_read_timeout(timeout).unwrap();
    let stream = connector.build().connect("localhost", stream).unwrap();
    let agreed = stream.ssl().selected_alpn_protocol();
    (
        stream.ssl().peer_certificate().unwrap(),
        agreed.map(<[u8]>::to_vec),
    )
}

fn certificate(file: &Path) -> X509 {
    X509::from_pem(&fs::read(file).unwrap()).unwrap()
}

#[test]
fn a_server_shows_its_certificate_and_speaks_http_2() {
    let server = TestServer::start(Tls, &[]);
    let (shown, agreed) = shown(&server.address);
    let flags = server.setup.server_flags();
    assert!(shown == certificate(flags[1].as_ref()));
    assert_eq!(agreed.as_deref(), Some(&b"h2"[..]));
}

/// A stream that buffers at most one response before it is read.
fn call(channel: &Channel) -> Responses<Response> {
    let stub = StreamServiceClient::new(channel.clone());
    let stream = stub.fetch_response(&Request::default()).unwrap();
    let timeouts = ReceiveTimeouts {
        first: Some(TEST_TIMEOUT),
        idle: Some(TEST_TIMEOUT),
    };
    let poller = grpcio::Client::new(channel.clone());
    receive(&poller, stream, Capacity::messages(1), timeouts)
}

#[test]
fn certificates_change_under_200_streams_that_lose_nothing() {
    const STREAMS: i32 = 200;
    const RESPONSES: u32 = 100;
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let ca = authority.write(&directory.path().join("ca.pem"));
    let Files {
        certificate: pem,
        key,
    } = authority.issue_files(directory.path(), "server", &SERVER_NAMES);
    let tutorial = Tutorial {
        responses: RESPONSES,
        step: Duration::ZERO,
        // More than the channels and the HTTP/2 window hold: no stream ends unread.
        size: Some(4096),
    };
    let server = Server::builder()
        .listen("127.0.0.1:0")
        .streams(StreamsConfig {
            capacity: Capacity::messages(4),
            ..StreamsConfig::default()
        })
        .tls(ServerTls {
            certificate: pem.clone(),
            key,
            client_authorities: None,
        })
        .add_service(service(tutorial))
        .start()
        .unwrap();
    let address = server.bound()[0].address.to_string();
    let channel = ChannelBuilder::new(Arc::new(Environment::new(1)))
        // Keeps the window small.
        .raw_cfg_int(c"grpc.http2.bdp_probe".into(), 0)
        .set_credentials(
            ChannelCredentialsBuilder::new()
                .root_cert(fs::read(&ca).unwrap())
                .build(),
        )
        .connect(&address);
    let mut streams: Vec<_> = (0..STREAMS).map(|_| call(&channel)).collect();
    for stream in &mut streams {
        stream.next().unwrap().unwrap();
    }
    let old = certificate(&pem);
    assert!(shown(&address).0 == old);

    authority.issue_files(directory.path(), "server", &SERVER_NAMES);
    let new = certificate(&pem);
    assert!(new != old);
    eventually(|| (shown(&address).0 == new).then_some(()));

    assert_eq!(server.streams().open(), STREAMS as usize);
    for stream in streams {
        let rest: Result<Vec<_>, _> = stream.collect();
        assert_eq!(rest.unwrap().len() as u32, RESPONSES - 1);
    }
    let tls = ClientTls::with_authorities(ca).unwrap();
    let fresh = Client::builder(server.address()).tls(tls).connect();
    assert_eq!(fetch(&fresh.unwrap(), 1).count() as u32, RESPONSES);
}

#[test]
fn a_mismatched_new_pair_is_reported_once_and_ignored() {
    let server = TestServer::start(Tls, &[]);
    let flags = server.setup.server_flags();
    let (pem, key) = (Path::new(&flags[1]), Path::new(&flags[3]));
    let old = certificate(pem);
    let (new_pem, new_key) = Authority::new().issue(&SERVER_NAMES);
    assert!(server.process.error_line().contains("start server"));
    fs::write(pem, &new_pem).unwrap();
    let said = server.process.error_line();
    assert!(said.contains("error: the private key `"), "{said}");
    assert!(said.contains("is not the key of the certificate"), "{said}");
    assert!(shown(&server.address).0 == old);
    // Truncated, as by a full disk.
    fs::write(pem, &new_pem[..new_pem.len() / 2]).unwrap();
    let said = server.process.error_line();
    assert!(said.contains("error: the certificate `"), "{said}");
    assert!(shown(&server.address).0 == old);
    fs::write(pem, &new_pem).unwrap();
    write_secret(key, &new_key);
    let said = server.process.error_line();
    assert!(said.contains("reloaded"), "{said}");
    assert!(shown(&server.address).0 == certificate(pem));
}

#[test]
fn a_client_authority_can_be_added_later() {
    let server = TestServer::start(MutualTls, &["--step", "0s"]);
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let files = authority.issue_files(directory.path(), "client", &["client.test"]);
    let (pem, key) = (path(&files.certificate), path(&files.key));
    let ca = &server.setup.client_flags()[2];
    let connect = || {
        let flags = ["--addr", &server.address, "--tls", "--ca", ca];
        let identity = ["--cert", &pem, "--key", &key];
        let client = env!("CARGO_BIN_EXE_client");
        Process::start(client, [&flags[..], &identity].concat()).end()
    };
    assert_eq!(connect().code, Some(3));
    let client_ca = &server.setup.server_flags()[5];
    let old = fs::read_to_string(ca).unwrap();
    // The clients trust the same file, so the first authority stays in it.
    let new = fs::read_to_string(authority.write(&directory.path().join("ca"))).unwrap();
    fs::write(client_ca, old + &new).unwrap();
    eventually(|| (connect().code == Some(0)).then_some(()));
}

#[test]
fn a_client_without_a_certificate_is_refused() {
    let server = TestServer::start(MutualTls, &[]);
    let ca = &server.setup.client_flags()[2];
    let flags = ["--addr", &server.address, "--tls", "--ca", ca];
    let ended = Process::start(env!("CARGO_BIN_EXE_client"), flags).end();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.output.is_empty());
    assert!(ended.errors[0].contains("wants a client's certificate"));
    let ended = Process::start(env!("CARGO_BIN_EXE_client"), ["--addr", &server.address]).end();
    assert_eq!(ended.code, Some(3), "{ended:?}");
    server.process.signal("-TERM");
    let log = server.process.end().errors.concat();
    assert!(!log.contains("fetch response"), "{log}");
}

/// Asserts exit code 2 and one line that names the flag, the file and `why`.
#[track_caller]
fn cannot_use(flags: &[&str], flag: &str, file: &str, why: &str) {
    let ended = server([&["--listen", "127.0.0.1:0"], flags].concat()).end();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let [line] = &ended.errors[..] else {
        panic!("{ended:?}")
    };
    for part in [&format!("error: {flag}: "), file, why] {
        assert!(line.contains(part), "{line}");
    }
}

#[test]
fn an_unusable_file_is_named_with_its_flag() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let issue = |name| authority.issue_files(directory.path(), name, &SERVER_NAMES);
    let (one, other) = (issue("one"), issue("other"));
    let empty = directory.path().join("empty");
    fs::write(&empty, "").unwrap();
    let zero = directory.path().join("zero");
    fs::write(
        &zero,
        [fs::read(&one.certificate).unwrap(), vec![0]].concat(),
    )
    .unwrap();
    let locked = directory.path().join("locked");
    let secret = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n";
    fs::write(&locked, secret).unwrap();
    let [pem, key, other, empty, zero, locked] = [
        &one.certificate,
        &one.key,
        &other.key,
        &empty,
        &zero,
        &locked,
    ]
    .map(|file| path(file));
    let try_pair = |pem: &str, key: &str, flag, file: &str, why| {
        cannot_use(&["--tls-cert", pem, "--tls-key", key], flag, file, why);
    };
    try_pair("/no/such", &key, "--tls-cert", "/no/such", "No such file");
    try_pair(&pem, "/no/such", "--tls-key", "/no/such", "No such file");
    try_pair(&key, &key, "--tls-cert", &key, "no certificate");
    try_pair(&pem, &pem, "--tls-key", &pem, "no private key");
    try_pair(&zero, &key, "--tls-cert", &zero, "zero");
    try_pair(&pem, &other, "--tls-key", &other, "not the key of");
    try_pair(&pem, &locked, "--tls-key", &locked, "passphrase");
    let mut flags = vec!["--tls-cert", &pem, "--tls-key", &key];
    flags.extend(["--tls-client-ca", &empty]);
    cannot_use(&flags, "--tls-client-ca", &empty, "no certificate");
    cannot_use(
        &["--token-file", &empty],
        "--token-file",
        &empty,
        "no token",
    );
}

#[test]
fn a_public_address_with_tls_causes_no_warning() {
    let server = TestServer::listen(Tls, "0.0.0.0:0", &["--log-level", "warn"]);
    let Address::Tcp { port, .. } = server.address.parse().unwrap() else {
        panic!("{}", server.address)
    };
    shown(&format!("127.0.0.1:{port}"));
    server.process.signal("-TERM");
    assert!(server.process.end().errors.is_empty());
}

#[test]
fn a_key_readable_by_others_causes_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let files = Authority::new().issue_files(directory.path(), "server", &SERVER_NAMES);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
    fs::set_permissions(&files.key, mode).unwrap();
    let (pem, key) = (path(&files.certificate), path(&files.key));
    let flags = ["--listen", "127.0.0.1:0", "--tls-cert", &pem];
    let server = server(flags.into_iter().chain(["--tls-key", &key]));
    server.error_line();
    let said = server.error_line();
    let wanted = format!("warning: --tls-key: `{key}` can be read by others");
    assert!(said.contains(&wanted), "{said}");
}
