use std::time::Duration;
use std::{env, error::Error, thread};

use fanstream::client::Client;
use fanstream::security::{ClientTls, ServerTls};
use fanstream::server::{Server, Service, Signals};

mod clock;
mod proto {
    fanstream::include_protos!();
}
use proto::ticker::{Tick, WatchRequest};
use proto::ticker_grpc::METHOD_TICKER_WATCH;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", certificate, key] => serve(ServerTls::new(certificate, key)),
        ["watch", address, authority, ticks] => watch(address, authority, ticks.parse()?),
        ["clock", address, authority] => clock::ask(&connect(address, authority)?),
        _ => {
            Err("usage: outside serve CERT KEY | watch ADDRESS CA TICKS | clock ADDRESS CA".into())
        }
    }
}

fn serve(tls: ServerTls) -> Result<(), Box<dyn Error>> {
    let ticker = Service::new().server_streaming(&METHOD_TICKER_WATCH, |call, request| {
        let call = call.clone();
        let numbers =
            (0..WatchRequest::get_ticks(&request)).take_while(move |_| !call.is_draining());
        Ok(numbers.map(|number| {
            thread::sleep(Duration::from_millis(20));
            let mut tick = Tick::new();
            tick.set_number(number);
            Ok(tick)
        }))
    });
    let mut signals = Signals::register()?;
    let builder = Server::builder()
        .listen("localhost:0")
        .metrics("127.0.0.1:0");
    let builder = builder.add_service(ticker).add_service(clock::service());
    let server = builder.tls(tls).start()?;
    println!("{}", server.address());
    println!("{}", server.metrics_address().ok_or("no metrics")?);
    signals.wait();
    println!("{:?}", server.shutdown(Duration::from_secs(10)));
    Ok(())
}

fn connect(address: &str, authority: &str) -> Result<Client, Box<dyn Error>> {
    let tls = ClientTls::with_authorities(authority)?;
    Ok(Client::builder(address).tls(tls).connect()?)
}

fn watch(address: &str, authority: &str, ticks: u32) -> Result<(), Box<dyn Error>> {
    let mut request = WatchRequest::new();
    request.set_ticks(ticks);
    for tick in connect(address, authority)?.call(&METHOD_TICKER_WATCH, request) {
        println!("tick {}", tick?.number);
    }
    Ok(())
}
