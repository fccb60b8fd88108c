//! Ports for servers that end and start again.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;

use anyhow::{Context as _, Result};

/// No system takes the ports of outgoing connections from here (Linux begins at 32768): the port of a server that is stopped
/// stays free until it starts again.
const PORTS: Range<u16> = 10_000..32_768;
const ATTEMPTS: u32 = 1_000;

/// Addresses of loopback, all different, where nobody listens at the moment.
///
/// # Errors
/// When there are not so many.
pub fn free_addresses<const N: usize>() -> Result<[SocketAddr; N]> {
    // Held together, so that they differ.
    let mut listeners = Vec::with_capacity(N);
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for address in &mut addresses {
        let listener = listen()?;
        *address = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok(addresses)
}

fn listen() -> Result<TcpListener> {
    let random = RandomState::new();
    let port = |attempt: u32| PORTS.start + (random.hash_one(attempt) % PORTS.len() as u64) as u16;
    let listener = (0..ATTEMPTS).find_map(|attempt| TcpListener::bind((Ipv4Addr::LOCALHOST, port(attempt))).ok());
    listener.context("no free port on loopback")
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
