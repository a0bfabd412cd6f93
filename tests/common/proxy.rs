//! A TCP proxy in front of a server: it counts bytes and connections, connects from a chosen source
//! address, and can become a black hole that neither closes nor answers. It never looks at the
//! bytes.

#![allow(dead_code)] // each test program uses its part of it

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// A proxy on a free port. Dropping it closes its connections.
pub struct Proxy {
    /// `host:port`, to connect to.
    pub address: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    swallows: AtomicBool,
    stopped: AtomicBool,
    accepted: AtomicUsize,
    open: AtomicUsize,
    from_client: AtomicUsize,
    from_server: AtomicUsize,
    sockets: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    pub fn to(server: &str) -> Proxy {
        Proxy::from(Ipv4Addr::LOCALHOST, server)
    }

    /// Connects from `source`, an address of this machine such as 127.0.0.2.
    pub fn from(source: Ipv4Addr, server: &str) -> Proxy {
        let server: SocketAddr = server.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        // It ends with the test program.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // If the server refuses, so does the proxy.
                if let Ok(server) = connect(source, server) {
                    own.carry(client, server);
                }
            }
        });
        Proxy { address, shared }
    }

    /// Discards all further bytes in both directions.
    pub fn swallow(&self) {
        self.shared.swallows.store(true, Ordering::SeqCst);
    }

    /// Stops reading from both sides, as if both had stopped.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Connections that neither side has closed.
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Bytes received from clients.
    pub fn received_from_client(&self) -> usize {
        self.shared.from_client.load(Ordering::SeqCst)
    }

    /// Bytes received from servers.
    pub fn received_from_server(&self) -> usize {
        self.shared.from_server.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(false, Ordering::SeqCst);
        for socket in self.shared.sockets.lock().unwrap().drain(..) {
            let _ = socket.shutdown(Shutdown::Both); // it may be closed already
        }
    }
}

impl Shared {
    fn carry(self: &Arc<Self>, client: TcpStream, server: TcpStream) {
        self.accepted.fetch_add(1, Ordering::SeqCst);
        self.open.fetch_add(1, Ordering::SeqCst);
        for socket in [&client, &server] {
            socket.set_nodelay(true).unwrap();
            let socket = socket.try_clone().unwrap();
            self.sockets.lock().unwrap().push(socket);
        }
        let closed = Arc::new(AtomicBool::new(false));
        let (from_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let (shared, of_client) = (self.clone(), closed.clone());
        thread::spawn(move || shared.copy(from_client, to_server, &shared.from_client, &of_client));
        let shared = self.clone();
        thread::spawn(move || shared.copy(server, client, &shared.from_server, &closed));
    }

    /// Copies until one side closes, then closes the other side, except in a black hole.
    fn copy(
        &self,
        mut from: TcpStream,
        mut to: TcpStream,
        count: &AtomicUsize,
        closed: &AtomicBool,
    ) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(bytes @ 1..) = from.read(&mut buffer) {
            while self.stopped.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(1));
            }
            count.fetch_add(bytes, Ordering::SeqCst);
            if !self.swallows.load(Ordering::SeqCst) && to.write_all(&buffer[..bytes]).is_err() {
                break;
            }
        }
        if !closed.swap(true, Ordering::SeqCst) {
            self.open.fetch_sub(1, Ordering::SeqCst);
        }
        if !self.swallows.load(Ordering::SeqCst) {
            let _ = to.shutdown(Shutdown::Both); // the other direction may have done it
        }
    }
}

fn connect(source: Ipv4Addr, server: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.connect(&server.into())?;
    Ok(socket.into())
}
