//! Fairness between streams that have more to send than they can: a blocked connection does not
//! delay the others.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::common::harness::{response, until, Harness};
use crate::common::transport::Transport::{self, Clear, MutualTls, Tls};
use fanstream::engine::{Capacity, Job};
use grpcio::{CallOption, RpcStatusCode};
use rstest::rstest;

/// Messages of a call, enough for many turns of the writer.
const MESSAGES: usize = 2_000;

fn endless(transport: Transport) -> Harness {
    Harness::start(transport, |id, _| {
        let text = format!("{id:190}");
        Ok(Job::now(std::iter::repeat_with(move || Ok(response(text.clone())))).into())
    })
}

#[rstest]
fn busy_streams_arrive_complete_and_in_order(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let server = Harness::start(transport, |id, _| {
        let texts = (0..MESSAGES).map(move |k| Ok(response(format!("{id} {k}"))));
        Ok(Job::now(texts).into())
    });
    let mut calls: Vec<_> = (0..20).map(|id| server.call(id)).collect();
    for k in 0..MESSAGES {
        for (id, call) in calls.iter_mut().enumerate() {
            let text = call.next().unwrap().unwrap().result;
            assert_eq!(text, format!("{id} {k}"));
        }
    }
    for mut call in calls {
        assert!(call.next().is_none());
        assert_eq!(call.status().map(|s| s.code()), Some(RpcStatusCode::OK));
    }
}

#[rstest]
fn ended_and_stalled_streams_do_not_disturb_busy_ones(
    #[values(Clear, Tls, MutualTls)] transport: Transport,
) {
    let server = endless(transport);
    let small = Capacity::messages(4);
    let unread: Vec<_> = (0..10)
        .map(|id| server.call_with(id, CallOption::default(), small))
        .collect();
    let mut read: Vec<_> = (10..20).map(|id| server.call(id)).collect();
    while let Some(mut call) = read.pop() {
        for other in read.iter_mut().chain(Some(&mut call)) {
            for _ in 0..MESSAGES / 10 {
                other.next().unwrap().unwrap();
            }
        }
    }
    drop(unread);
    until(|| server.streams.open() == 0);
}

#[rstest]
fn a_blocked_connection_delays_no_other(#[values(Clear, Tls, MutualTls)] transport: Transport) {
    let server = endless(transport);
    let dam = Dam::before(&server.address);
    // With a large window, the sockets fill up before flow control stops the stream.
    let through = server.connect(&dam.address, |channel| {
        channel.stream_initial_window_size(1 << 30)
    });
    let mut blocked: Vec<_> = (0..10).map(|id| server.call_over(&through, id)).collect();
    for call in &mut blocked {
        call.next().unwrap().unwrap();
    }
    let reader = thread::spawn(move || blocked.iter_mut().for_each(|call| call.for_each(drop)));
    dam.closed.store(true, Ordering::SeqCst);
    let soon = Duration::from_secs(5);
    let mut live: Vec<_> = (10..14).map(|id| server.call_impatient(id, soon)).collect();
    for _ in 0..10 * MESSAGES {
        for call in &mut live {
            call.next().unwrap().unwrap();
        }
    }
    drop((live, dam));
    reader.join().unwrap();
    until(|| server.streams.open() == 0);
}

/// Forwards bytes between one client and a server; once closed, the server's bytes pile up.
struct Dam {
    address: String,
    closed: Arc<AtomicBool>,
    sockets: crossbeam_channel::Receiver<TcpStream>,
}

impl Dam {
    fn before(server: &str) -> Dam {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let closed = Arc::new(AtomicBool::new(false));
        let (opened, sockets) = crossbeam_channel::unbounded();
        let (server, open) = (server.to_string(), closed.clone());
        thread::spawn(move || {
            let client = listener.accept().unwrap().0;
            let server = TcpStream::connect(server).unwrap();
            for socket in [&client, &server] {
                opened.send(socket.try_clone().unwrap()).unwrap();
            }
            let pair = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || io::copy(&mut &pair.0, &mut &pair.1));
            let mut buffer = [0; 4096];
            while let Ok(bytes @ 1..) = (&server).read(&mut buffer) {
                if (&client).write_all(&buffer[..bytes]).is_err() || open.load(Ordering::SeqCst) {
                    break;
                }
            }
        });
        Dam {
            address,
            closed,
            sockets,
        }
    }
}

impl Drop for Dam {
    fn drop(&mut self) {
        for socket in self.sockets.try_iter() {
            let _ = socket.shutdown(Shutdown::Both); // it may be closed already
        }
    }
}
