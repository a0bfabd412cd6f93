//! A small HTTP/1 server of pages: one request per connection, one thread per connection.
//! It must not know the content of its responses.
//!
//! Slow clients are dropped after [`REQUEST_TIMEOUT`]; above [`MAX_CONNECTIONS`] the oldest
//! connection is closed. hyper is not used, because it is asynchronous; nor tiny_http, because
//! there a connection without a request holds a thread for good.

mod reply;
mod request;

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::address::Address;
pub(super) use reply::Reply;
pub(super) use request::Request;

/// Time for a request and its response together.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Open connections; one more closes the oldest.
const MAX_CONNECTIONS: usize = 16;

/// Size of a request's head. Browsers stay well below it.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// Pause after a failed accept. The usual cause is the limit on open files.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Time for the connection that wakes the accepting thread at shutdown.
const WAKE_TIMEOUT: Duration = Duration::from_millis(100);

/// Makes the response to a request. The response to HEAD is that to GET, sent without its body.
type Handler = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// A listening port. Dropping it closes the port.
pub(super) struct Endpoint {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Endpoint {
    /// Binds `address`, or for a host name the first of its addresses that can be bound, and starts
    /// a thread that accepts connections. `handler` makes the response to each request.
    pub(super) fn start(
        address: &Address,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Endpoint> {
        let listener = listen(address)?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, handler) = (stop.clone(), Arc::new(handler));
        thread::Builder::new()
            .name("fanstream-http".into())
            .spawn(move || accept(&listener, &stopped, &(handler as Handler)))?;
        Ok(Endpoint { address, stop })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Wakes the accepting thread.
        let host = match self.address.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        let _ = TcpStream::connect_timeout(&(host, self.address.port()).into(), WAKE_TIMEOUT);
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.address).finish()
    }
}

fn listen(address: &Address) -> io::Result<TcpListener> {
    match address {
        Address::Unix(_) => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "metrics are served over TCP",
        )),
        // All addresses: one IPv6 socket serves both families, where there is IPv6.
        Address::Tcp { host, port } if host.is_empty() => {
            match TcpListener::bind((Ipv6Addr::UNSPECIFIED, *port)) {
                Err(e) if e.kind() != io::ErrorKind::AddrInUse => {
                    TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port))
                }
                bound => bound,
            }
        }
        Address::Tcp { host, port } => TcpListener::bind((host.as_str(), *port)),
    }
}

fn accept(listener: &TcpListener, stop: &AtomicBool, handler: &Handler) {
    let open = Arc::new(Connections::default());
    for connection in listener.incoming() {
        if stop.load(Ordering::Acquire) {
            return;
        }
        match connection.and_then(|stream| serve(stream, &open, handler)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::debug!(%error, "cannot serve a connection for metrics");
                thread::sleep(ACCEPT_RETRY_DELAY);
            }
        }
    }
}

/// Open connections, the oldest first.
#[derive(Default)]
struct Connections(Mutex<VecDeque<Arc<TcpStream>>>);

impl Connections {
    fn add(&self, stream: &Arc<TcpStream>) {
        let mut open = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if open.len() >= MAX_CONNECTIONS {
            if let Some(oldest) = open.pop_front() {
                // Its thread fails at once in its read or write, and ends.
                let _ = oldest.shutdown(Shutdown::Both);
            }
        }
        open.push_back(stream.clone());
    }

    fn remove(&self, stream: &Arc<TcpStream>) {
        let mut open = self.0.lock().unwrap_or_else(|e| e.into_inner());
        open.retain(|other| !Arc::ptr_eq(other, stream));
    }
}

fn serve(stream: TcpStream, open: &Arc<Connections>, handler: &Handler) -> io::Result<()> {
    let stream = Arc::new(stream);
    open.add(&stream);
    let (own, connections, handler) = (stream.clone(), open.clone(), handler.clone());
    let started = thread::Builder::new()
        .name("fanstream-http".into())
        .spawn(move || {
            // An error concerns this connection only.
            let _ = respond(&own, &handler);
            connections.remove(&own);
        });
    if started.is_err() {
        open.remove(&stream);
    }
    started.map(|_| ())
}

fn respond(stream: &TcpStream, handler: &Handler) -> io::Result<()> {
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    let reply = match read_head(stream, deadline)? {
        Ok(request) if request.is_head => handler(&request).without_body(),
        Ok(request) => handler(&request),
        Err(refusal) => refusal,
    };
    let text = reply.to_http();
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        stream.set_write_timeout(Some(left(deadline)?))?;
        let written = (&mut &*stream).write(rest)?;
        if written == 0 {
            return Ok(());
        }
        rest = &rest[written..];
    }
    stream.shutdown(Shutdown::Write)?;
    // Closing a socket with unread data resets the connection, and the client may lose the
    // response.
    let mut unread = [0; 1024];
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        if (&mut &*stream).read(&mut unread)? == 0 {
            return Ok(());
        }
    }
}

/// Returns the request, or the response that refuses it.
fn read_head(stream: &TcpStream, deadline: Instant) -> io::Result<Result<Request, Reply>> {
    let mut head = Vec::new();
    let mut chunk = [0; 2048];
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        let read = (&mut &*stream).read(&mut chunk)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&chunk[..read]);
        if let Some(parsed) = request::parse(&head) {
            return Ok(parsed);
        }
        if head.len() > MAX_HEAD_BYTES {
            return Ok(Err(Reply::text(431, "the request is too large\n")));
        }
    }
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}
