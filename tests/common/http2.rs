//! An HTTP/2 client that sends any frames in any order, as hostile clients do. It answers PINGs and
//! records how calls end. It does no flow control.

#![allow(dead_code)] // each test program uses its part of it

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};
use std::thread;

use super::process::eventually;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
/// Of no type that HTTP/2 knows.
pub const UNKNOWN: u8 = 0xee;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

const CANCEL: u32 = 8;
/// The code of a call that was refused and may be tried again.
pub const REFUSED_STREAM: u32 = 7;
/// The code of a connection that asked for too much.
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// A gRPC message with the request for id 1.
pub const REQUEST: &[u8] = &[0, 0, 0, 0, 2, 0x08, 0x01];

/// A connection.
pub struct Http2 {
    stream: TcpStream,
    next: u32,
    indexed: bool,
    path: &'static str,
    seen: Arc<Mutex<Seen>>,
}

/// Frames received from the server so far.
#[derive(Default)]
struct Seen {
    ended: HashMap<u32, Ending>,
    goaway: Option<u32>,
    closed: bool,
}

/// How a call ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// The last block of headers, encoded. The C-core writes the status of a call that it refuses
    /// itself in plain text.
    pub trailers: Vec<u8>,
    /// The code of a RST_STREAM.
    pub reset: Option<u32>,
}

impl Http2 {
    /// Sends empty SETTINGS. `acknowledge` says whether it also acknowledges the server's.
    pub fn connect(address: &str, path: &'static str, acknowledge: bool) -> io::Result<Http2> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        frame(&mut hello, SETTINGS, 0, 0, &[]);
        if acknowledge {
            frame(&mut hello, SETTINGS, ACK, 0, &[]);
        }
        stream.write_all(&hello)?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (reader, of_reader) = (stream.try_clone()?, seen.clone());
        thread::spawn(move || {
            // Returns when the connection ends.
            let _ = read(reader, &of_reader);
            of_reader.lock().unwrap().closed = true;
        });
        Ok(Http2 {
            stream,
            next: 1,
            indexed: false,
            path,
            seen,
        })
    }

    /// Appends the HEADERS of a new call, and returns its number. After the first call they are 6
    /// bytes.
    pub fn open(&mut self, to: &mut Vec<u8>) -> u32 {
        self.open_with(to, &[])
    }

    /// The same, with these encoded fields at the end.
    pub fn open_with(&mut self, to: &mut Vec<u8>, more: &[u8]) -> u32 {
        let mut block = self.block();
        block.extend_from_slice(more);
        self.open_block(to, &block)
    }

    /// The same, with these encoded fields and no others.
    pub fn open_block(&mut self, to: &mut Vec<u8>, block: &[u8]) -> u32 {
        frame(to, HEADERS, END_HEADERS, self.next, block);
        self.number()
    }

    /// The same, with the fields in `parts`, each in a separate CONTINUATION.
    pub fn open_in_parts(&mut self, to: &mut Vec<u8>, parts: &[Vec<u8>]) -> u32 {
        frame(to, HEADERS, 0, self.next, &self.block());
        for (n, part) in parts.iter().enumerate() {
            let last = n + 1 == parts.len();
            let flags = if last { END_HEADERS } else { 0 };
            frame(to, CONTINUATION, flags, self.next, part);
        }
        self.number()
    }

    /// Begins headers that never end: the caller sends `continuation`s for this number.
    pub fn open_without_end(&mut self, to: &mut Vec<u8>) -> u32 {
        frame(to, HEADERS, 0, self.next, &self.block());
        self.number()
    }

    fn block(&self) -> Vec<u8> {
        if self.indexed {
            // Entries that the first call added to the table.
            return (0..6).map(|n| 0x80 | (67 - n)).collect();
        }
        let mut block = Vec::new();
        field(&mut block, INDEXED, ":method", "POST");
        field(&mut block, INDEXED, ":scheme", "http");
        field(&mut block, INDEXED, ":path", self.path);
        field(&mut block, INDEXED, ":authority", "test");
        field(&mut block, INDEXED, "content-type", "application/grpc");
        field(&mut block, INDEXED, "te", "trailers");
        block
    }

    fn number(&mut self) -> u32 {
        self.indexed = true;
        self.next += 2;
        self.next - 2
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Whether the server has closed the connection or sent GOAWAY.
    pub fn is_over(&self) -> bool {
        let seen = self.seen.lock().unwrap();
        seen.closed || seen.goaway.is_some()
    }

    /// The code of the server's GOAWAY.
    pub fn goaway(&self) -> Option<u32> {
        self.seen.lock().unwrap().goaway
    }

    /// The ends of calls that were seen so far.
    pub fn endings(&self) -> HashMap<u32, Ending> {
        self.seen.lock().unwrap().ended.clone()
    }

    /// The TCP segments with data that have arrived. On loopback each write of a few KB is one.
    #[allow(unsafe_code)] // no crate reads this field of TCP_INFO
    pub fn segments_received(&self) -> u32 {
        /// `tcpi_data_segs_in` in linux/tcp.h.
        const DATA_SEGMENTS_IN: usize = 152;
        let mut info = [0_u8; 256];
        let mut length = info.len() as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes into `info`, which lives until then.
        let failed = unsafe {
            libc::getsockopt(
                self.stream.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                info.as_mut_ptr().cast(),
                &mut length,
            )
        };
        assert!(failed == 0 && length as usize >= DATA_SEGMENTS_IN + 4);
        let field = &info[DATA_SEGMENTS_IN..DATA_SEGMENTS_IN + 4];
        u32::from_ne_bytes(field.try_into().unwrap())
    }

    /// Waits for the end of a call.
    #[track_caller]
    pub fn ending(&self, call: u32) -> Ending {
        eventually(|| {
            let seen = self.seen.lock().unwrap();
            assert!(!seen.closed, "the server closed the connection");
            seen.ended.get(&call).cloned()
        })
    }
}

impl Drop for Http2 {
    fn drop(&mut self) {
        // Ends the reader. The connection may be closed already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

pub fn data(to: &mut Vec<u8>, call: u32, bytes: &[u8], end: bool) {
    frame(to, DATA, if end { END_STREAM } else { 0 }, call, bytes);
}

pub fn reset(to: &mut Vec<u8>, call: u32) {
    frame(to, RST_STREAM, 0, call, &CANCEL.to_be_bytes());
}

/// Ends the client's side of a call with trailers, which gRPC does not use, and resets the call
/// without an error.
pub fn finish_and_reset(to: &mut Vec<u8>, call: u32) {
    let mut trailers = Vec::new();
    field(&mut trailers, PLAIN, "x-end", "1");
    frame(to, HEADERS, END_HEADERS | END_STREAM, call, &trailers);
    frame(to, RST_STREAM, 0, call, &0_u32.to_be_bytes());
}

pub fn continuation(to: &mut Vec<u8>, call: u32, fields: &[u8]) {
    frame(to, CONTINUATION, 0, call, fields);
}

/// A field that enters the table of the server's HPACK decoder.
pub const INDEXED: u8 = 0x40;
/// A field that does not.
pub const PLAIN: u8 = 0x00;

/// Appends a literal field, without Huffman coding.
pub fn field(to: &mut Vec<u8>, kind: u8, name: &str, value: &str) {
    to.push(kind);
    for text in [name, value] {
        length(to, text.len());
        to.extend_from_slice(text.as_bytes());
    }
}

/// An integer with a prefix of 7 bits.
fn length(to: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(0x7f) else {
        return to.push(length as u8);
    };
    to.push(0x7f);
    while rest >= 0x80 {
        to.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    to.push(rest as u8);
}

/// Appends any frame.
pub fn frame(to: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap();
    to.extend_from_slice(&length.to_be_bytes()[1..]);
    to.extend_from_slice(&[kind, flags]);
    to.extend_from_slice(&stream.to_be_bytes());
    to.extend_from_slice(payload);
}

/// Reads a frame: its type, its flags and its stream; `payload` becomes its payload.
pub fn read_frame(reader: &mut impl Read, payload: &mut Vec<u8>) -> io::Result<(u8, u8, u32)> {
    let mut header = [0; 9];
    reader.read_exact(&mut header)?;
    let [a, b, c, kind, flags, stream_id @ ..] = header;
    payload.resize(u32::from_be_bytes([0, a, b, c]) as usize, 0);
    reader.read_exact(payload)?;
    Ok((kind, flags, u32::from_be_bytes(stream_id)))
}

fn read(mut stream: TcpStream, seen: &Mutex<Seen>) -> io::Result<()> {
    let mut payload = Vec::new();
    let mut reader = io::BufReader::new(stream.try_clone()?);
    loop {
        let (kind, flags, call) = read_frame(&mut reader, &mut payload)?;
        let code = |at: usize| payload[at..at + 4].try_into().map(u32::from_be_bytes);
        match kind {
            HEADERS if flags & END_STREAM != 0 => {
                let mut seen = seen.lock().unwrap();
                seen.ended.entry(call).or_default().trailers = payload.clone();
            }
            RST_STREAM => {
                let mut seen = seen.lock().unwrap();
                seen.ended.entry(call).or_default().reset = Some(code(0).unwrap());
            }
            GOAWAY => seen.lock().unwrap().goaway = Some(code(4).unwrap()),
            PING if flags & ACK == 0 => {
                let mut answer = Vec::new();
                frame(&mut answer, PING, ACK, 0, &payload);
                stream.write_all(&answer)?;
            }
            _ => {}
        }
    }
}
