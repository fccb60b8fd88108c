//! Ports for servers that end and start again.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result};

/// No system takes the ports of outgoing connections from here (Linux begins at 32768): the port of a server that is stopped
/// stays free until it starts again.
const PORTS: Range<u16> = 10_000..32_768;

/// Addresses of loopback where nobody listens at the moment. This process gets none of them again.
///
/// # Errors
/// When there are not so many.
pub fn free_addresses<const N: usize>() -> Result<[SocketAddr; N]> {
    /// From a port on that others hardly begin with.
    static NEXT: LazyLock<AtomicU64> =
        LazyLock::new(|| AtomicU64::new(RandomState::new().hash_one(()) % PORTS.len() as u64));
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for address in &mut addresses {
        let mut next = (0..PORTS.len()).map(|_| NEXT.fetch_add(1, Ordering::Relaxed) % PORTS.len() as u64);
        let free = next.find_map(|at| TcpListener::bind((Ipv4Addr::LOCALHOST, PORTS.start + at as u16)).ok());
        *address = free.context("no free port on loopback")?.local_addr()?;
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_and_are_none_of_outgoing_connections() {
        let mut ports = free_addresses::<100>().unwrap().map(|address| address.port());
        ports.sort_unstable();
        assert!(ports.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(ports.iter().all(|port| PORTS.contains(port)));
    }
}
