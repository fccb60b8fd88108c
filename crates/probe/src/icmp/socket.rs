//! A socket that may send and receive ICMP: the kind for everybody where the system allows it, else the raw kind.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::c_int;
use nix::sys::socket::sockopt::{Ipv4RecvTtl, Ipv6RecvHopLimit, RcvBufForce};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendto, setsockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::packet::{Family, without_ip_header};
use crate::ProbeError;

/// Answers that wait in the kernel, in bytes: those of a few thousand probes that were sent in one moment.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;
/// How often a receiver that hears nothing looks up.
const RECEIVE_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct IcmpSocket {
    socket: Socket,
    family: Family,
    raw: bool,
}

impl IcmpSocket {
    /// # Errors
    /// One sentence that says what to do where neither kind is allowed.
    pub(crate) fn open(family: Family) -> Result<Self, ProbeError> {
        let unavailable = |error: io::Error| ProbeError::Unavailable { what: family.name(), source: Arc::new(error) };
        let (domain, protocol) = match family {
            Family::V4 => (Domain::IPV4, Protocol::ICMPV4),
            Family::V6 => (Domain::IPV6, Protocol::ICMPV6),
        };
        let denied = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
        let (socket, raw) = match Socket::new(domain, Type::DGRAM, Some(protocol)) {
            Ok(socket) => (socket, false),
            Err(error) if denied(&error) => match Socket::new(domain, Type::RAW, Some(protocol)) {
                Ok(socket) => (socket, true),
                Err(error) if denied(&error) => return Err(ProbeError::NotPermitted),
                Err(error) => return Err(unavailable(error)),
            },
            Err(error) => return Err(unavailable(error)),
        };
        let opened = Self { socket, family, raw };
        opened.set_options().map_err(unavailable)?;
        Ok(opened)
    }

    fn set_options(&self) -> io::Result<()> {
        self.socket.set_read_timeout(Some(RECEIVE_TIMEOUT))?;
        // Past the system's limit where that is allowed, else up to it.
        if setsockopt(&self.socket, RcvBufForce, &RECEIVE_BUFFER_BYTES).is_err() {
            self.socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
        }
        match self.family {
            Family::V4 => setsockopt(&self.socket, Ipv4RecvTtl, &true)?,
            Family::V6 => setsockopt(&self.socket, Ipv6RecvHopLimit, &true)?,
        }
        Ok(())
    }

    /// The identifier of its echo requests: the system's where that gives one, else `wanted`.
    pub(crate) fn identifier(&self, wanted: u16) -> io::Result<u16> {
        if self.raw {
            return Ok(wanted);
        }
        let any: IpAddr = match self.family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        self.socket.bind(&SocketAddr::from((any, 0)).into())?;
        let bound = self.socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(bound.port())
    }

    /// Sends without waiting for room.
    pub(crate) fn send(&self, packet: &[u8], address: IpAddr) -> Result<(), Errno> {
        let address = SockaddrStorage::from(SocketAddr::from((address, 0)));
        sendto(self.socket.as_raw_fd(), packet, &address, MsgFlags::MSG_DONTWAIT).map(drop)
    }

    /// Waits for the next ICMP message and gives it with its time to live; an error of kind `WouldBlock` when none came
    /// for a second.
    pub(crate) fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<(&'a [u8], Option<u64>)> {
        let mut control = cmsg_space!(c_int);
        let (length, ttl) = {
            let mut parts = [IoSliceMut::new(buffer)];
            let message = recvmsg::<()>(self.socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())?;
            let ttl = message.cmsgs()?.find_map(|control| match control {
                ControlMessageOwned::Ipv4Ttl(ttl) | ControlMessageOwned::Ipv6HopLimit(ttl) => u64::try_from(ttl).ok(),
                _ => None,
            });
            (message.bytes, ttl)
        };
        let packet = &buffer[..length];
        let packet = match (self.family, self.raw) {
            (Family::V4, true) => without_ip_header(packet).unwrap_or_default(),
            _ => packet,
        };
        Ok((packet, ttl))
    }
}

impl Family {
    fn name(self) -> &'static str {
        match self {
            Self::V4 => "ICMP over IPv4",
            Self::V6 => "ICMP over IPv6",
        }
    }
}
