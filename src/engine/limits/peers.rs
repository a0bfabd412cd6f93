//! Open streams and call rates by peer. Entries of idle peers are evicted. It counts; it knows
//! neither calls nor streams.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Bound::{Excluded, Unbounded};
use std::time::{Duration, Instant};

use super::{Limits, Rate, Refusal};

/// The most peers with a separate entry: some 7 MB. While all of them are active, further peers
/// share one entry.
const MAX_PEERS: usize = 65_536;

/// Entries that each call checks, to evict idle ones: more than it can add.
const EVICTION_CHECKS: usize = 2;

/// A remote address, as precise as the limits need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Peer {
    V4(Ipv4Addr),
    /// The first 64 bits.
    V6(u64),
    /// A Unix-domain socket, or another transport without an address.
    Local,
    /// All peers without a separate entry.
    Others,
}

impl Peer {
    /// Parses the C-core's text: `ipv4:192.0.2.1:50`, `ipv6:%5B2001:db8::1%5D:50`, `unix:…`.
    pub(crate) fn of(text: &str) -> Peer {
        let Some((scheme @ ("ipv4" | "ipv6"), rest)) = text.split_once(':') else {
            return Peer::Local;
        };
        let host = match rest.rsplit_once(':') {
            Some((host, _port)) => host,
            None => rest,
        };
        let ip = match scheme {
            "ipv4" => host.parse().map(IpAddr::V4).ok(),
            _ => bracketed(host).map(IpAddr::V6),
        };
        match ip.map(|ip| ip.to_canonical()) {
            Some(IpAddr::V4(ip)) => Peer::V4(ip),
            Some(IpAddr::V6(ip)) => Peer::V6((u128::from(ip) >> 64) as u64),
            None => Peer::Local,
        }
    }
}

/// Parses an address in brackets, possibly escaped; ignores its zone.
fn bracketed(host: &str) -> Option<Ipv6Addr> {
    let open = host.strip_prefix("%5B").or(host.strip_prefix('['))?;
    let inner = open.strip_suffix("%5D").or(open.strip_suffix(']'))?;
    inner.split('%').next()?.parse().ok()
}

/// The counters of all peers.
pub(in crate::engine) struct Peers {
    max_streams: u32,
    pace: Option<Pace>,
    /// A tree: a hash table of this size would hold the registry's lock for a millisecond while it
    /// grows.
    entries: BTreeMap<Peer, Entry>,
    /// The last entry that eviction has checked.
    checked: Option<Peer>,
    started: Instant,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    open: u32,
    /// The theoretical arrival time of the next call, in nanoseconds since [`Peers::started`].
    arrival: u64,
}

/// A [`Rate`] for the generic cell rate algorithm.
#[derive(Clone, Copy)]
struct Pace {
    rate: Rate,
    /// Nanoseconds between two calls at the rate.
    interval: u64,
    /// Nanoseconds that a peer may be ahead of the rate.
    ahead: u64,
}

impl Pace {
    fn new(rate: Rate) -> Pace {
        let interval = nanoseconds(rate.per) / u64::from(rate.calls.max(1));
        Pace {
            rate,
            interval,
            ahead: interval.saturating_mul(u64::from(rate.burst.max(1) - 1)),
        }
    }
}

impl Peers {
    pub(super) fn new(limits: &Limits) -> Peers {
        Peers {
            max_streams: limits.max_streams_per_peer.unwrap_or(u32::MAX),
            pace: limits.rate_per_peer.map(Pace::new),
            entries: BTreeMap::new(),
            checked: None,
            started: Instant::now(),
        }
    }

    /// Counts a stream of `peer`, or refuses it. Pass the result to [`Peers::release`].
    pub(super) fn acquire(&mut self, peer: Peer, now: Instant) -> Result<Peer, Refusal> {
        let now = nanoseconds(now.saturating_duration_since(self.started));
        self.evict_idle(now);
        let known = self.entries.contains_key(&peer);
        let peer = match known || self.entries.len() < MAX_PEERS {
            true => peer,
            false => Peer::Others,
        };
        let entry = self.entries.entry(peer).or_default();
        if let Some(pace) = &self.pace {
            let arrival = entry.arrival.max(now);
            if arrival - now > pace.ahead {
                return Err(Refusal::RateOfPeer(pace.rate));
            }
            entry.arrival = arrival.saturating_add(pace.interval);
        }
        if entry.open >= self.max_streams {
            return Err(Refusal::StreamsOfPeer(self.max_streams));
        }
        entry.open += 1;
        Ok(peer)
    }

    /// Releases a stream that [`Peers::acquire`] counted.
    pub(super) fn release(&mut self, peer: Peer) {
        if let Some(entry) = self.entries.get_mut(&peer) {
            entry.open = entry.open.saturating_sub(1);
        }
    }

    /// Checks the next entries in turn and evicts idle ones. Each call adds at most one, so they do
    /// not accumulate.
    fn evict_idle(&mut self, now: u64) {
        for _ in 0..EVICTION_CHECKS {
            let from = self.checked.map_or(Unbounded, Excluded);
            let next = self.entries.range((from, Unbounded)).next();
            self.checked = next.map(|(peer, _)| *peer);
            if let Some((peer, entry)) = next {
                if entry.open == 0 && entry.arrival <= now {
                    let peer = *peer;
                    self.entries.remove(&peer);
                }
            }
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(limits: Limits) -> (Peers, Instant) {
        let peers = Peers::new(&limits);
        let now = peers.started;
        (peers, now)
    }

    fn address(n: u32) -> Peer {
        Peer::V4(Ipv4Addr::from(n))
    }

    #[test]
    fn a_peer_is_an_address_without_its_port() {
        let v4 = Peer::V4(Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(Peer::of("ipv4:192.0.2.1:50"), v4);
        assert_eq!(Peer::of("ipv6:%5B::ffff:192.0.2.1%5D:50"), v4);
        assert_eq!(Peer::of("unix:/run/a:b"), Peer::Local);
        assert_eq!(Peer::of("unix:"), Peer::Local);
        assert_eq!(Peer::of("ipv6:nonsense"), Peer::Local);
    }

    #[test]
    fn a_peer_is_the_first_half_of_an_ipv6_address() {
        let of = |host: &str| Peer::of(&format!("ipv6:%5B{host}%5D:50"));
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        assert_eq!(of("fe80::1%25eth0"), Peer::of("ipv6:[fe80::2]:50"));
        assert_eq!(of("::1"), Peer::V6(0));
    }

    #[test]
    fn streams_are_counted_by_peer() {
        let (mut peers, now) = peers(Limits {
            max_streams_per_peer: Some(2),
            ..Limits::default()
        });
        let first = peers.acquire(address(1), now).unwrap();
        peers.acquire(address(1), now).unwrap();
        let refusal = peers.acquire(address(1), now).unwrap_err();
        assert!(matches!(refusal, Refusal::StreamsOfPeer(2)));
        assert!(peers.acquire(address(2), now).is_ok());
        peers.release(first);
        assert!(peers.acquire(address(1), now).is_ok());
    }

    #[test]
    fn a_burst_comes_at_once_and_the_rest_at_the_rate() {
        let rate = Rate {
            burst: 3,
            ..Rate::per_second(10)
        };
        let (mut peers, began) = peers(Limits {
            rate_per_peer: Some(rate),
            ..Limits::default()
        });
        let mut calls = |milliseconds| {
            let now = began + Duration::from_millis(milliseconds);
            let calls = (0..100).take_while(|_| peers.acquire(address(1), now).is_ok());
            calls.count()
        };
        assert_eq!([calls(0), calls(99), calls(100), calls(300)], [3, 0, 1, 2]);
        assert_eq!(calls(60_000), 3);
    }

    #[test]
    fn idle_peers_are_evicted() {
        let (mut peers, began) = peers(Limits {
            rate_per_peer: Some(Rate::per_second(1)),
            ..Limits::default()
        });
        for n in 0..1000 {
            let peer = peers.acquire(address(n), began).unwrap();
            peers.release(peer);
        }
        assert_eq!(peers.entries.len(), 1000, "all may be refused for a second");
        let busy = peers.acquire(address(5000), began).unwrap();
        for n in 0..1000 {
            let now = began + Duration::from_secs(2 + n);
            let peer = peers.acquire(address(6000), now).unwrap();
            peers.release(peer);
        }
        assert_eq!(peers.entries.len(), 2);
        assert_eq!(peers.entries[&busy].open, 1);
    }

    #[test]
    fn peers_beyond_the_table_share_an_entry() {
        let (mut peers, now) = peers(Limits {
            max_streams_per_peer: Some(1),
            ..Limits::default()
        });
        for n in 0..MAX_PEERS as u32 {
            peers.acquire(address(n), now).unwrap();
        }
        let other = peers.acquire(address(1_000_000), now).unwrap();
        assert_eq!(other, Peer::Others);
        assert!(peers.acquire(address(1_000_001), now).is_err());
        assert_eq!(peers.entries.len(), MAX_PEERS + 1);
        peers.release(other);
        assert!(peers.acquire(address(1_000_001), now).is_ok());
    }
}
