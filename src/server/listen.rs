//! Binds a grpcio server to an [`Address`] and finds the reason of a failure. It must not know the
//! services.
//!
//! The C-core reports a failure without a reason, and it would share a port or take over a socket
//! file that another server uses. So this file resolves names, binds each address of a name
//! separately, and after a failure binds again with the standard library to get the reason.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use grpcio::{Server, ServerCredentials};

use crate::address::{escape, unix_uri, Address};
pub use crate::extension::Bound;

/// Attempts to find a port that is free on all addresses of a host name.
const MAX_PORT_ATTEMPTS: u32 = 16;

/// An address cannot be bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The host name cannot be resolved.
    #[error("cannot resolve `{host}`: {reason}")]
    Resolve {
        /// The configured name.
        host: String,
        /// The resolver's error.
        reason: io::Error,
    },
    /// The address is in use, not permitted, or does not belong to this machine.
    #[error("cannot listen on {address}: {reason}")]
    Bind {
        /// The resolved address.
        address: String,
        /// The system's error.
        reason: io::Error,
    },
}

/// Makes the credentials of one port.
pub type Credentials<'a> = &'a dyn Fn() -> ServerCredentials;

/// Binds `server`, before its start, to `address`, with new `credentials` for each port.
///
/// For a host name, binds all of its addresses that belong to this machine. Blocks while the name
/// is resolved.
///
/// # Errors
/// [`ListenError`] if no address could be bound, or one address of the name is in use.
pub fn bind(
    server: &mut Server,
    address: &Address,
    credentials: Credentials<'_>,
) -> Result<Bound, ListenError> {
    match address {
        Address::Unix(path) => bind_unix(server, path, credentials),
        Address::Tcp { host, port } => {
            let found = resolve(host, *port)?;
            let port = bind_tcp(server, host, &found, credentials)?;
            Ok(Bound {
                address: Address::Tcp {
                    host: host.clone(),
                    port,
                },
                exposed: !found.iter().all(|address| address.ip().is_loopback()),
            })
        }
    }
}

/// Checks without binding that a host name resolves, or that the directory of a socket exists.
/// Blocks while the name is resolved.
pub(super) fn check(address: &Address) -> Result<(), ListenError> {
    match address {
        Address::Tcp { host, port } => resolve(host, *port).map(drop),
        Address::Unix(path) => {
            let directory = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            let found = std::fs::metadata(directory.unwrap_or(Path::new(".")));
            found.map(drop).map_err(|reason| refused(address, reason))
        }
    }
}

/// Returns the addresses of `host`, each once, with the zones of IPv6.
fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, ListenError> {
    if host.is_empty() {
        // All addresses. With IPv6, one socket serves both families.
        let v6 = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let any = match TcpListener::bind((v6, 0)) {
            Ok(_) => v6,
            Err(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        return Ok(vec![SocketAddr::new(any, port)]);
    }
    let found = (host, port)
        .to_socket_addrs()
        .map_err(|reason| ListenError::Resolve {
            host: host.into(),
            reason,
        })?;
    let mut addresses = Vec::new();
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// Binds the addresses of `host` that belong to this machine, all at one port, and returns the
/// port.
fn bind_tcp(
    server: &mut Server,
    host: &str,
    addresses: &[SocketAddr],
    credentials: Credentials<'_>,
) -> Result<u16, ListenError> {
    let mut absent = None;
    let mut port = free_port(host, addresses)?;
    let mut bound = false;
    for address in addresses {
        let address = with_port(address, port);
        // The C-core unescapes it: the zone follows a `%`.
        let escaped = escape(address.to_string().as_bytes());
        if let Ok(actual) = server.add_listening_port(escaped, credentials()) {
            bound = true;
            port = actual;
            continue;
        }
        let reason = reason(TcpListener::bind(address));
        // `localhost` often includes ::1 on machines without IPv6.
        let is_absent = reason.kind() == io::ErrorKind::AddrNotAvailable;
        let error = refused(shown(host, address), reason);
        if !is_absent {
            return Err(error);
        }
        absent = Some(error);
    }
    match absent {
        Some(error) if !bound => Err(error),
        _ => Ok(port),
    }
}

/// Returns why the C-core could not bind an address, from an attempt without the C-core.
fn reason<T>(attempt: io::Result<T>) -> io::Error {
    attempt.err().unwrap_or_else(|| {
        io::Error::other("the C-core refused it; its log at level debug has the reason")
    })
}

/// Returns the configured port. For port 0, one that is free on all `addresses`: another process
/// may take it before it is bound.
fn free_port(host: &str, addresses: &[SocketAddr]) -> Result<u16, ListenError> {
    let configured = addresses.first().map_or(0, SocketAddr::port);
    // For one address, the system chooses when binding.
    if configured != 0 || addresses.len() < 2 {
        return Ok(configured);
    }
    let mut found = port_free_on_all(host, addresses);
    for _ in 1..MAX_PORT_ATTEMPTS {
        if found.is_err() {
            found = port_free_on_all(host, addresses);
        }
    }
    found
}

fn port_free_on_all(host: &str, addresses: &[SocketAddr]) -> Result<u16, ListenError> {
    let mut port = 0;
    let mut held = Vec::new();
    for address in addresses {
        let address = with_port(address, port);
        match TcpListener::bind(address).and_then(|l| Ok((l.local_addr()?.port(), l))) {
            Ok((actual, listener)) => {
                port = actual;
                held.push(listener);
            }
            Err(reason) if reason.kind() == io::ErrorKind::AddrNotAvailable => {}
            Err(reason) => return Err(refused(shown(host, address), reason)),
        }
    }
    Ok(port)
}

fn with_port(address: &SocketAddr, port: u16) -> SocketAddr {
    let mut address = *address;
    address.set_port(port);
    address
}

/// Returns the address for a message: with the name of its zone, if `host` has one, instead of the
/// zone's number.
fn shown(host: &str, address: SocketAddr) -> String {
    match host.contains('%') {
        true => {
            let (host, port) = (host.into(), address.port());
            Address::Tcp { host, port }.to_string()
        }
        false => address.to_string(),
    }
}

fn bind_unix(
    server: &mut Server,
    path: &Path,
    credentials: Credentials<'_>,
) -> Result<Bound, ListenError> {
    let address = Address::Unix(path.into());
    let refuse = |reason| Err(refused(&address, reason));
    // The C-core removes an existing socket, even one that another server listens on.
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return refuse(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "a file of that name exists and is no socket",
            ));
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            return refuse(io::ErrorKind::AddrInUse.into());
        }
        Ok(_) | Err(_) => {}
    }
    if server
        .add_listening_port(unix_uri(path), credentials())
        .is_err()
    {
        let attempt = UnixListener::bind(path);
        if attempt.is_ok() {
            let _ = std::fs::remove_file(path);
        }
        return refuse(reason(attempt));
    }
    Ok(Bound {
        address,
        exposed: false,
    })
}

fn refused(address: impl ToString, reason: io::Error) -> ListenError {
    ListenError::Bind {
        address: address.to_string(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use grpcio::{Environment, ServerBuilder};

    use super::*;

    /// The zone of the loopback interface, which every machine has.
    fn in_loopback_zone(port: u16) -> Address {
        format!("[fe80::1%lo]:{port}").parse().unwrap()
    }

    #[test]
    fn the_zone_of_an_address_is_resolved() {
        let found = resolve("fe80::1%lo", 7).unwrap();
        let [SocketAddr::V6(address)] = found[..] else {
            panic!("{found:?}")
        };
        assert_ne!(address.scope_id(), 0);
        assert_eq!(address.port(), 7);
        let unknown = resolve("fe80::1%nosuch", 7).unwrap_err().to_string();
        assert!(unknown.contains("`fe80::1%nosuch`"), "{unknown}");
    }

    #[test]
    fn an_error_names_the_zone() {
        let mut server = ServerBuilder::new(Arc::new(Environment::new(1)))
            .build()
            .unwrap();
        let bound = bind(
            &mut server,
            &in_loopback_zone(50_007),
            &ServerCredentials::insecure,
        );
        let error = bound.unwrap_err().to_string();
        let expected = "cannot listen on [fe80::1%lo]:50007: Cannot assign requested address";
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn an_address_with_a_zone_is_bound() {
        let Some(address) = link_local_address() else {
            return;
        };
        let mut server = ServerBuilder::new(Arc::new(Environment::new(1)))
            .build()
            .unwrap();
        let bound = bind(&mut server, &address, &ServerCredentials::insecure).unwrap();
        let Address::Tcp { host, port } = &bound.address else {
            panic!("{bound:?}")
        };
        assert_ne!(*port, 0);
        assert!(host.contains('%') && bound.exposed, "{bound:?}");
    }

    /// A link-local address of this machine, with its zone, if it has one.
    fn link_local_address() -> Option<Address> {
        let all = std::fs::read_to_string("/proc/net/if_inet6").ok()?;
        all.lines().find_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let ip = u128::from_str_radix(fields.first()?, 16)
                .ok()
                .map(Ipv6Addr::from)?;
            let is_link_local = ip.segments()[0] == 0xfe80;
            let zone = fields.last()?;
            is_link_local.then(|| format!("[{ip}%{zone}]:0").parse().ok())?
        })
    }
}
