//! Clients that connect with their first call, and clients that share poll threads.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use fanstream::client::{CallSettings, Client, ClientThreads, ConnectError};
use fanstream::engine::{ReceiveError, ReceiveTimeouts};
use fanstream::security::{Authorities, ClientTls, ServerTls};
use fanstream::server::{Server, Service};
use grpcio::RpcStatusCode as Code;

use crate::common::certificates::Authority;
use crate::common::process::eventually;
use crate::{
    builder, count, echo, failed, request, response, unused, COUNT, ECHO, ENDLESS, SECOND,
};

fn start_at(address: &str) -> Server {
    let server = Server::builder().listen(address).add_service(echo());
    server.start().unwrap()
}

fn lazy(address: &str) -> Client {
    Client::builder(address)
        .timeout(30 * SECOND)
        .connect_lazy()
        .unwrap()
}

/// It accepts connections, as the kernel does for it, and never answers.
#[test]
fn the_first_call_connects_within_its_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    silent.set_nonblocking(true).unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let client = lazy(&address);
    let none = silent.accept().unwrap_err();
    assert_eq!(none.kind(), io::ErrorKind::WouldBlock);

    let settings = CallSettings {
        timeout: Some(SECOND / 4),
        ..client.call_settings()
    };
    let began = Instant::now();
    let (code, _) = failed(client.unary_with(&ECHO, request(1), settings).map(drop));
    assert_eq!(code, Code::DEADLINE_EXCEEDED);
    assert!(began.elapsed() < 10 * SECOND, "{:?}", began.elapsed());
    assert!(silent.accept().is_ok());

    let settings = CallSettings {
        timeouts: ReceiveTimeouts {
            first: Some(SECOND / 4),
            idle: None,
        },
        retries: u32::MAX,
        ..client.call_settings()
    };
    for address in [address, unused()] {
        let began = Instant::now();
        let mut stream = lazy(&address).call_with(&COUNT, request(1), settings.clone());
        match stream.next() {
            Some(Err(ReceiveError::FirstTimeout(after))) => assert_eq!(after, SECOND / 4),
            Some(Err(ReceiveError::Status(status))) => assert_eq!(status.code(), Code::UNAVAILABLE),
            other => panic!("{other:?}"),
        }
        assert!(began.elapsed() < 10 * SECOND, "{:?}", began.elapsed());
    }
}

#[test]
fn each_call_tries_to_connect() {
    let address = unused();
    let client = lazy(&address);
    let (code, why) = failed(client.unary(&ECHO, request(1)));
    assert_eq!(code, Code::UNAVAILABLE);
    assert!(why.contains("Connection refused"), "{why}");
    let _server = start_at(&address);
    let answer = eventually(|| client.unary(&ECHO, request(1)).ok());
    assert_eq!(answer.result, "1");
}

#[test]
fn a_call_waits_for_its_server() {
    let address = unused();
    let builder = || Client::builder(address.as_str()).timeout(30 * SECOND);
    let (retries, waits) = (builder().retries(u32::MAX), builder().wait_for_ready(true));
    let calling = [retries, waits].map(|builder| {
        let client = builder.connect_lazy().unwrap();
        let (began, begins) = channel();
        let calling = thread::spawn(move || {
            began.send(()).unwrap();
            let answer = client.unary(&ECHO, request(1));
            answer.map(|answer| answer.result)
        });
        begins.recv().unwrap();
        calling
    });
    let _server = start_at(&address);
    for call in calling {
        assert_eq!(call.join().unwrap().unwrap(), "1");
    }
}

#[test]
fn tls_and_the_token_are_those_of_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let trusted = authority.write(&directory.path().join("ca.pem"));
    let files = authority.issue_files(directory.path(), "server", &["name.test"]);
    let tokens = directory.path().join("tokens");
    fs::write(&tokens, "secret").unwrap();
    let server = builder()
        .tls(ServerTls::new(files.certificate, files.key))
        .token_file(&tokens)
        .add_service(echo())
        .start()
        .unwrap();
    let tls = |name: &str| ClientTls {
        authorities: Some(Authorities::from_file(&trusted).unwrap()),
        server_name: Some(name.into()),
        ..ClientTls::default()
    };
    let threads = ClientThreads::new(1).unwrap();
    let client = |name: &str| {
        let builder = Client::builder(server.address()).timeout(30 * SECOND);
        builder.threads(&threads).tls(tls(name))
    };
    let trusting = client("name.test").token("secret".parse().unwrap());
    let answer = trusting.connect_lazy().unwrap().unary(&ECHO, request(1));
    assert_eq!(answer.unwrap().result, "1");
    let without = client("name.test").connect_lazy().unwrap();
    let (code, _) = failed(without.unary(&ECHO, request(1)));
    assert_eq!(code, Code::UNAUTHENTICATED);
    let other = client("other.test").connect_lazy().unwrap();
    let (code, why) = failed(other.unary(&ECHO, request(1)));
    assert_eq!(code, Code::UNAVAILABLE);
    assert!(why.contains("other.test"), "{why}");
    let open = Client::builder("name.test:1").token("secret".parse().unwrap());
    let refused = open.connect_lazy().unwrap_err();
    assert!(matches!(refused, ConnectError::TokenInTheClear { .. }));
}

/// The name is resolved on a thread of its own, however long that takes.
#[test]
fn a_name_does_not_hold_a_call_beyond_its_timeout() {
    let began = Instant::now();
    let client = lazy("name.invalid:1");
    let settings = CallSettings {
        timeout: Some(SECOND / 4),
        ..client.call_settings()
    };
    let mut stream = client.call_with(&COUNT, request(1), settings.clone());
    let canceller = stream.canceller();
    let _ = stream.next_timeout(SECOND / 100);
    canceller.cancel();
    assert!(stream.next().is_none());
    let (code, why) = failed(client.unary_with(&ECHO, request(1), settings).map(drop));
    let expected = [Code::DEADLINE_EXCEEDED, Code::UNAVAILABLE];
    assert!(expected.contains(&code), "{why}");
    assert!(began.elapsed() < 4 * SECOND, "{:?}", began.elapsed());
}

/// The poll threads of this process; those of other tests too.
fn poll_threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.flat_map(|task| fs::read_to_string(task.path().join("comm")));
    names.filter(|name| name.starts_with("client-poll")).count()
}

#[test]
fn many_clients_share_a_few_threads() {
    const CLIENTS: usize = 200;
    let servers = [(); 4].map(|()| builder().add_service(echo()).start().unwrap());
    let threads = ClientThreads::new(2).unwrap();
    let before = poll_threads();
    let clients: Vec<Client> = (0..CLIENTS)
        .map(|n| {
            let builder = Client::builder(servers[n % servers.len()].address());
            builder.threads(&threads).connect_lazy().unwrap()
        })
        .collect();
    drop(threads);
    thread::scope(|scope| {
        for some in clients.chunks(CLIENTS / 8) {
            scope.spawn(move || {
                for client in some {
                    assert_eq!(client.unary(&ECHO, request(5)).unwrap().result, "5");
                }
            });
        }
    });
    // Other tests start clients meanwhile, but not as many.
    let more = poll_threads().saturating_sub(before);
    assert!(more < CLIENTS / 2, "{more}");
}

/// Whoever holds a stream keeps its poll thread.
#[test]
fn streams_outlive_their_clients_and_the_shared_threads() {
    let service =
        Service::new().server_streaming(&ENDLESS, |_, _| Ok((0..).map(|n| Ok(response(n)))));
    let services = builder().add_service(service).add_service(count());
    let server = services.start().unwrap();
    let threads = ClientThreads::new(1).unwrap();
    let client = || {
        let builder = Client::builder(server.address()).timeout(30 * SECOND);
        builder.threads(&threads).connect_lazy().unwrap()
    };
    let [one, other] = [client(), client()];
    let mut streams: Vec<_> = [&one, &other, &one]
        .map(|client| client.call(&ENDLESS, request(1)))
        .into();
    drop((one, threads));
    let last = streams.pop();
    for stream in &mut streams {
        for n in 0..100 {
            assert_eq!(stream.next().unwrap().unwrap().result, n.to_string());
        }
    }
    drop(last);
    assert_eq!(crate::texts(&other, 2), ["0", "1"]);
    drop(other);
    assert_eq!(streams[1].next().unwrap().unwrap().result, "100");
    drop(streams);
    eventually(|| (server.streams().open() == 0).then_some(()));
}
