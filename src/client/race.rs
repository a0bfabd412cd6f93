//! Races the addresses of a name, as RFC 8305 (Happy Eyeballs) does. The C-core tries one after the
//! other and waits 20 s for each, so a first address that swallows packets would use up the time to
//! connect. It must not know channels.
//!
//! The race tells only whether some address is dead, and how fast another one answers. The C-core
//! then resolves and connects by itself, with less patience for each address.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{unbounded, RecvTimeoutError};

/// The time between two attempts.
const STAGGER: Duration = Duration::from_millis(250);

/// The longest time for all attempts.
const MAX_RACE: Duration = Duration::from_secs(3);

/// The most addresses that take part.
const MAX_ADDRESSES: usize = 8;

/// The least patience for one address: TLS takes some more round trips than TCP.
const MIN_PATIENCE: Duration = Duration::from_millis(500);
const ROUND_TRIPS: u32 = 8;

/// How long to wait for one address of `host`; `None` if its first address answers, or it has only
/// one. Blocks for at most 3 s, usually for a round trip.
pub(super) fn patience(host: &str, port: u16) -> Option<Duration> {
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs().ok()?.collect();
    if addresses.len() < 2 {
        return None;
    }
    let (first, took) = race(&addresses, |address| {
        TcpStream::connect_timeout(&address, MAX_RACE).is_ok()
    })?;
    (first != addresses[0]).then(|| (took * ROUND_TRIPS).max(MIN_PATIENCE))
}

/// The first address that answers, and the time that its answer took.
fn race(
    addresses: &[SocketAddr],
    answers: impl Fn(SocketAddr) -> bool + Copy + Send + 'static,
) -> Option<(SocketAddr, Duration)> {
    let began = Instant::now();
    let (sender, results) = unbounded();
    let mut next = addresses.iter().take(MAX_ADDRESSES);
    let mut running = 0;
    loop {
        let started = next.next();
        if let Some(&address) = started {
            let sender = sender.clone();
            let attempt = move || {
                let began = Instant::now();
                let answered = answers(address).then(|| began.elapsed());
                // The race may be over.
                let _ = sender.send((address, answered));
            };
            // Without threads there is no race.
            thread::Builder::new().spawn(attempt).ok()?;
            running += 1;
        } else if running == 0 {
            return None;
        }
        // The next one starts when this one has failed, or is late.
        let patience = match started {
            Some(_) => STAGGER,
            None => MAX_RACE.checked_sub(began.elapsed())?,
        };
        match results.recv_timeout(patience) {
            Ok((address, Some(took))) => return Some((address, took)),
            Ok((_, None)) => running -= 1,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, n], 1))
    }

    #[test]
    fn an_address_that_swallows_packets_delays_the_others_a_little() {
        let began = Instant::now();
        let addresses = [address(1), address(2), address(3)];
        let (first, _) = race(&addresses, |address| {
            // The first one is silent, the second one refuses.
            if address == self::address(1) {
                thread::sleep(Duration::from_secs(10));
            }
            address == self::address(3)
        })
        .unwrap();
        assert_eq!(first, address(3));
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn the_first_address_wins_if_it_answers() {
        let addresses = [address(1), address(2)];
        assert_eq!(race(&addresses, |_| true).unwrap().0, address(1));
        assert_eq!(race(&addresses, |_| false), None);
    }

    #[test]
    fn a_name_with_one_address_has_no_race() {
        assert_eq!(patience("127.0.0.1", 1), None);
        assert_eq!(patience("no such host", 1), None);
    }
}
