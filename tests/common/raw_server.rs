//! An HTTP/2 server that answers each call with the bytes of a test, in DATA frames as the test
//! splits them. It does no flow control: an answer must fit into the first window, 64 KiB.

#![allow(dead_code)] // each test program uses its part of it

use std::io::{self, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::http2::{
    field, frame, read_frame, ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PLAIN, RST_STREAM,
    SETTINGS,
};

/// What the server sends for a call.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Blocks of headers, such as `[(":status", "103")]`; those of a gRPC response if empty.
    pub headers: Vec<Vec<(&'static str, &'static str)>>,
    /// The DATA frames.
    pub data: Vec<Vec<u8>>,
    /// The header `grpc-encoding`.
    pub encoding: Option<&'static str>,
    pub end: End,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// With the status OK.
    #[default]
    Ok,
    /// The last DATA frame ends the stream; there is no status.
    Data,
    /// RST_STREAM with INTERNAL_ERROR.
    Reset,
    /// RST_STREAM with this code.
    ResetWith(u32),
    /// With this `grpc-status`.
    Status(&'static str),
    /// Not at all.
    Never,
}

/// A server on a free port of 127.0.0.1, until the end of the process.
pub struct RawServer {
    pub address: String,
    calls: Calls,
}

/// The encoded headers of each call so far.
type Calls = Arc<Mutex<Vec<Vec<u8>>>>;

impl RawServer {
    /// Gives the same answer to each call.
    pub fn start(answer: Answer) -> RawServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answer = Arc::new(answer);
        let calls = Calls::default();
        let of_thread = calls.clone();
        thread::spawn(move || {
            for connection in listener.incoming() {
                let connection = connection.unwrap();
                let (answer, calls) = (answer.clone(), of_thread.clone());
                // Returns when the client closes the connection.
                thread::spawn(move || serve(connection, &answer, &calls));
            }
        });
        RawServer { address, calls }
    }

    /// The encoded headers of each call so far.
    pub fn calls(&self) -> Vec<Vec<u8>> {
        self.calls.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, answer: &Answer, calls: &Calls) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut preface = [0; 24];
    reader.read_exact(&mut preface)?;
    let mut hello = Vec::new();
    frame(&mut hello, SETTINGS, 0, 0, &[]);
    stream.write_all(&hello)?;
    let mut payload = Vec::new();
    loop {
        let (kind, flags, call) = read_frame(&mut reader, &mut payload)?;
        let mut reply = Vec::new();
        match kind {
            SETTINGS | PING if flags & ACK == 0 => {
                let echo: &[u8] = if kind == PING { &payload } else { &[] };
                frame(&mut reply, kind, ACK, 0, echo);
            }
            HEADERS => calls.lock().unwrap().push(payload.clone()),
            // The request is complete.
            DATA if flags & END_STREAM != 0 => write(&mut reply, call, answer),
            _ => {}
        }
        stream.write_all(&reply)?;
    }
}

fn write(to: &mut Vec<u8>, call: u32, answer: &Answer) {
    for block in &answer.headers {
        let mut headers = Vec::new();
        for (name, value) in block {
            field(&mut headers, PLAIN, name, value);
        }
        frame(to, HEADERS, END_HEADERS, call, &headers);
    }
    if answer.headers.is_empty() {
        let mut headers = vec![0x88]; // :status 200
        field(&mut headers, PLAIN, "content-type", "application/grpc");
        if let Some(encoding) = answer.encoding {
            field(&mut headers, PLAIN, "grpc-encoding", encoding);
        }
        frame(to, HEADERS, END_HEADERS, call, &headers);
    }
    for (n, data) in answer.data.iter().enumerate() {
        let is_end = answer.end == End::Data && n + 1 == answer.data.len();
        frame(to, DATA, if is_end { END_STREAM } else { 0 }, call, data);
    }
    match answer.end {
        End::Ok => end_with(to, call, "0"),
        End::Status(status) => end_with(to, call, status),
        End::Reset => frame(to, RST_STREAM, 0, call, &2_u32.to_be_bytes()),
        End::ResetWith(code) => frame(to, RST_STREAM, 0, call, &code.to_be_bytes()),
        End::Data | End::Never => {}
    }
}

fn end_with(to: &mut Vec<u8>, call: u32, status: &str) {
    let mut trailers = Vec::new();
    field(&mut trailers, PLAIN, "grpc-status", status);
    frame(to, HEADERS, END_HEADERS | END_STREAM, call, &trailers);
}
