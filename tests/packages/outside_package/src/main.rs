//! Serves logs over TLS by services with messages of prost; asks for them with rust-protobuf's.

use std::env;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use fanstream::client::Client;
use fanstream::engine::ReceiveError;
use fanstream::grpcio::RpcStatusCode as Code;
use fanstream::security::{ClientTls, ServerTls, Token};
use fanstream::server::{Server, Signals};
use fanstream::BoxError;

mod clock;
mod logs;
mod proto {
    fanstream::include_protos!();
}
mod by_prost {
    fanstream::include_protos!("by_prost");
}
use proto::logs::{CountRequest, QueryRequest, TailRequest};
use proto::logs_grpc::{METHOD_LOGS_COUNT, METHOD_LOGS_QUERY, METHOD_LOGS_TAIL};

const USAGE: &str = "usage: outside serve|tail|count|query|clock ADDRESS DIRECTORY [WHAT]";

fn main() -> Result<(), BoxError> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if let ["serve", address, directory] = args[..] {
        return serve(address, Path::new(directory));
    }
    let [command, address, directory, what] = args[..] else {
        return Err(USAGE.into());
    };
    let client = connect(address, Path::new(directory))?;
    match command {
        "tail" => tail(&client, what),
        "count" => count(&client, what),
        "query" => query(&client, what),
        "clock" => clock::ask(&client, what),
        _ => Err(USAGE.into()),
    }
}

fn serve(address: &str, directory: &Path) -> Result<(), BoxError> {
    let mut signals = Signals::register()?;
    let file = |name| directory.join(name);
    let server = Server::builder()
        .listen(address)
        .metrics("127.0.0.1:0")
        .tls(ServerTls::new(file("server.pem"), file("server.key")))
        .token_file(file("tokens"))
        .descriptors(proto::DESCRIPTORS)
        .add_service(logs::service(directory.into(), file("events.db")))
        .add_service(clock::service())
        .start()?;
    println!("{}", server.address());
    println!("{}", server.metrics_address().ok_or("no metrics")?);
    signals.wait();
    println!("{:?}", server.shutdown(Duration::from_secs(10)));
    Ok(())
}

fn connect(address: &str, directory: &Path) -> Result<Client, BoxError> {
    let tls = ClientTls::with_authorities(directory.join("ca.pem"))?;
    let token = Token::from_file(directory.join("tokens"))?;
    let client = Client::builder(address).tls(tls).token(token);
    Ok(client.wait_for_ready(true).connect()?)
}

/// Follows a file, also after a restart of the server: it asks again for what comes after the last line.
fn tail(client: &Client, file: &str) -> Result<(), BoxError> {
    let mut request = TailRequest::new();
    (request.file, request.follow) = (file.into(), true);
    for pause in 1.. {
        let mut lines = client.call(&METHOD_LOGS_TAIL, request.clone());
        let read: Result<_, ReceiveError> = lines.try_for_each(|line| {
            let line = line?;
            println!("{} {}", line.number, line.text);
            request.after = line.number;
            Ok(())
        });
        match read {
            Err(error) if error.code() == Code::UNAVAILABLE && pause < 100 => {
                sleep(Duration::from_millis(10 * pause));
            }
            read => return read.map_err(ReceiveError::into),
        }
    }
    Ok(())
}

fn count(client: &Client, file: &str) -> Result<(), BoxError> {
    let mut request = CountRequest::new();
    request.file = file.into();
    println!("{} lines", client.unary(&METHOD_LOGS_COUNT, request)?.lines);
    Ok(())
}

fn query(client: &Client, level: &str) -> Result<(), BoxError> {
    let mut request = QueryRequest::new();
    request.level = level.into();
    for event in client.call(&METHOD_LOGS_QUERY, request) {
        let event = event?;
        println!("{} {}", event.number, event.text);
    }
    Ok(())
}
