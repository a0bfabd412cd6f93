//! A client that speaks raw HTTP/2, so that its user decides about every window and every write. It
//! collects the messages and the end of each call, and judges nothing.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::TcpStream;
use std::time::Duration;

use fanstream::proto::stream::{Request, Response};
use grpcio::RpcStatusCode;
use protobuf::Message;

use super::hpack;
use crate::common::http2::{
    data, field, frame, read_frame, reset, ACK, DATA, END_HEADERS, END_STREAM, HEADERS, INDEXED,
    PING, RST_STREAM, SETTINGS,
};
use crate::common::server::FETCH;

const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

// Settings of HTTP/2.
const HEADER_TABLE_SIZE: u16 = 1;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// The window of a stream, and of a connection, for a client that says nothing of windows.
pub const DEFAULT_WINDOW: usize = 65_535;

/// The window of a stream that its reader has not opened further: a few messages.
const SMALL_WINDOW: u32 = 256;

/// A window that no test uses up.
const LARGE_WINDOW: u32 = 1 << 30;

/// A server that reads nothing for so long hangs.
const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

/// A connection, used by one thread.
pub struct Client {
    socket: TcpStream,
    /// Frames for the next write.
    out: Vec<u8>,
    buffer: Vec<u8>,
    /// The part of a frame that has arrived.
    partial: Vec<u8>,
    next: u32,
    calls: HashMap<u32, Seen>,
    received: usize,
    max_streams: Option<u32>,
    goaway: Option<u32>,
}

/// What has arrived of a call.
#[derive(Debug, Default)]
pub struct Seen {
    /// The texts of the messages.
    pub messages: Vec<String>,
    /// The part of a message that has arrived.
    pub partial: Vec<u8>,
    pub end: Option<End>,
}

/// How a call has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With a status and its message.
    Status(RpcStatusCode, String),
    /// With a RST_STREAM of this code.
    Reset(u32),
}

impl Client {
    /// A client that does not read leaves the windows as HTTP/2 has them. One that reads opens the
    /// connection's window for ever, and each stream's when it likes.
    pub fn connect(address: &str, is_read: bool) -> io::Result<Client> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(WRITE_TIMEOUT))?;
        let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let mut settings = Vec::new();
        setting(&mut settings, HEADER_TABLE_SIZE, 0);
        if is_read {
            setting(&mut settings, INITIAL_WINDOW_SIZE, SMALL_WINDOW);
        }
        frame(&mut out, SETTINGS, 0, 0, &settings);
        if is_read {
            frame(&mut out, WINDOW_UPDATE, 0, 0, &LARGE_WINDOW.to_be_bytes());
        }
        Ok(Client {
            socket,
            out,
            buffer: vec![0; 64 * 1024],
            partial: Vec::new(),
            next: 1,
            calls: HashMap::new(),
            received: 0,
            max_streams: None,
            goaway: None,
        })
    }

    /// Opens a call with the next write, and returns its stream. `is_wide` opens its window for
    /// ever.
    pub fn open(&mut self, id: i32, is_wide: bool) -> u32 {
        let stream = self.next;
        self.next += 2;
        let block = headers(stream == 1);
        frame(&mut self.out, HEADERS, END_HEADERS, stream, &block);
        if is_wide {
            self.widen(stream, LARGE_WINDOW);
        }
        let request = Request {
            id,
            ..Request::default()
        };
        let request = request.write_to_bytes().unwrap();
        let mut message = vec![0, 0, 0, 0, u8::try_from(request.len()).unwrap()];
        message.extend(request);
        data(&mut self.out, stream, &message, true);
        self.calls.insert(stream, Seen::default());
        stream
    }

    /// Opens the window of a stream further, with the next write.
    pub fn widen(&mut self, stream: u32, by: u32) {
        frame(&mut self.out, WINDOW_UPDATE, 0, stream, &by.to_be_bytes());
    }

    /// Cancels a call with the next write. What still arrives of it is ignored.
    pub fn cancel(&mut self, stream: u32) {
        reset(&mut self.out, stream);
        self.calls.remove(&stream);
    }

    /// Writes all that was added since the last write, at once.
    pub fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            self.socket.write_all(&self.out)?;
            self.out.clear();
        }
        Ok(())
    }

    /// Waits until something arrives, at most for `timeout`, and takes the complete frames of it.
    pub fn receive(&mut self, timeout: Duration) -> io::Result<()> {
        // A timeout of zero is an error.
        let timeout = timeout.max(Duration::from_millis(1));
        self.socket.set_read_timeout(Some(timeout))?;
        match self.socket.read(&mut self.buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(length) => self.partial.extend_from_slice(&self.buffer[..length]),
            Err(error) if is_timeout(&error) => return Ok(()),
            Err(error) => return Err(error),
        }
        let arrived = mem::take(&mut self.partial);
        let mut rest = &arrived[..];
        let mut payload = Vec::new();
        while begins_with_a_frame(rest) {
            let (kind, flags, stream) = read_frame(&mut rest, &mut payload)?;
            self.take(kind, flags, stream, &payload)?;
        }
        self.partial = rest.to_vec();
        // Answers to the server.
        self.flush()
    }

    /// What has arrived of a call that was not cancelled.
    pub fn seen(&self, stream: u32) -> &Seen {
        &self.calls[&stream]
    }

    /// The bytes that have arrived and count for the connection's window.
    pub fn received(&self) -> usize {
        self.received
    }

    /// The concurrent streams that the server allows.
    pub fn max_streams(&self) -> Option<u32> {
        self.max_streams
    }

    /// The code of the server's GOAWAY.
    pub fn goaway(&self) -> Option<u32> {
        self.goaway
    }

    fn take(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        match kind {
            SETTINGS if flags & ACK == 0 => {
                for setting in payload.chunks_exact(6) {
                    if setting[..2] == MAX_CONCURRENT_STREAMS.to_be_bytes()[..] {
                        self.max_streams = Some(number(&setting[2..]));
                    }
                }
                frame(&mut self.out, SETTINGS, ACK, 0, &[]);
            }
            PING if flags & ACK == 0 => frame(&mut self.out, PING, ACK, 0, payload),
            GOAWAY => self.goaway = Some(number(&payload[4..])),
            DATA | HEADERS | RST_STREAM => {
                if kind == DATA {
                    self.received += payload.len();
                }
                if let Some(seen) = self.calls.get_mut(&stream) {
                    seen.take(kind, flags, payload)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Seen {
    fn take(&mut self, kind: u8, flags: u8, payload: &[u8]) -> io::Result<()> {
        let end = match kind {
            DATA => {
                self.take_data(payload);
                return Ok(());
            }
            // Headers without the end of the stream say nothing here.
            HEADERS if flags & END_STREAM == 0 => return Ok(()),
            HEADERS => {
                // The C-core neither pads headers nor gives priorities.
                let is_plain = flags == (END_HEADERS | END_STREAM);
                let status = hpack::status(payload).filter(|_| is_plain);
                let unknown = || io::Error::other(format!("trailers {flags}: {payload:?}"));
                let (code, message) = status.ok_or_else(unknown)?;
                End::Status(code.into(), message)
            }
            _ => End::Reset(number(payload)),
        };
        // A server may reset a stream that has ended.
        if self.end.is_none() {
            self.end = Some(end);
        }
        Ok(())
    }

    /// Takes bytes of gRPC's frames: a byte for compression, four for the length, the message.
    fn take_data(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(header) = self.partial.get(at..at + 5) {
            let end = at + 5 + number(&header[1..]) as usize;
            let Some(message) = self.partial.get(at + 5..end) else {
                break;
            };
            self.messages.push(text(message));
            at = end;
        }
        self.partial.drain(..at);
    }
}

/// The text of a message; that of an error can be no message's.
fn text(message: &[u8]) -> String {
    match Response::parse_from_bytes(message) {
        Ok(response) => response.result,
        Err(error) => format!("not a response: {error}"),
    }
}

/// The headers of a call. The first call adds six fields to the server's table; later ones refer to
/// them, so that a write holds many calls.
fn headers(is_first: bool) -> Vec<u8> {
    if !is_first {
        return (0..6).map(|n| 0x80 | (67 - n)).collect();
    }
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", FETCH),
        (":authority", "test"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        field(&mut block, INDEXED, name, value);
    }
    block
}

fn setting(to: &mut Vec<u8>, number: u16, value: u32) {
    to.extend_from_slice(&number.to_be_bytes());
    to.extend_from_slice(&value.to_be_bytes());
}

/// The number in the first four bytes.
fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

/// True if `bytes` begin with a complete frame of HTTP/2.
fn begins_with_a_frame(bytes: &[u8]) -> bool {
    match bytes {
        [a, b, c, ..] => bytes.len() >= 9 + u32::from_be_bytes([0, *a, *b, *c]) as usize,
        _ => false,
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
