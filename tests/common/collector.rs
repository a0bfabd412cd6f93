//! A collector for OTLP over HTTP that keeps each request for the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crossbeam_channel::{Receiver, Sender};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message;

use super::process::TEST_TIMEOUT;

pub struct Collector {
    pub url: String,
    /// The head of each request, and its body decoded.
    requests: Receiver<(String, ExportTraceServiceRequest)>,
}

impl Collector {
    pub fn start() -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (tell, requests) = crossbeam_channel::unbounded();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let tell = tell.clone();
                thread::spawn(move || serve(stream.unwrap(), &tell));
            }
        });
        Collector { url, requests }
    }

    /// The next batch.
    #[track_caller]
    pub fn batch(&self) -> (String, Vec<ResourceSpans>) {
        let (head, request) = self.requests.recv_timeout(TEST_TIMEOUT).unwrap();
        (head, request.resource_spans)
    }

    /// True if no batch is left unread.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }
}

/// All spans of a batch.
pub fn spans(batch: &[ResourceSpans]) -> Vec<&Span> {
    let scopes = batch.iter().flat_map(|resource| &resource.scope_spans);
    scopes.flat_map(|scope| &scope.spans).collect()
}

fn serve(stream: TcpStream, tell: &Sender<(String, ExportTraceServiceRequest)>) {
    let mut reader = BufReader::new(&stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
        }
        let lower = head.to_lowercase();
        let length = lower.split("content-length: ").nth(1).expect("a length");
        let length = length.split("\r\n").next().unwrap().parse().unwrap();
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let request = ExportTraceServiceRequest::decode(&body[..]).unwrap();
        (&stream)
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
        if tell.send((head, request)).is_err() {
            return;
        }
    }
}
