//! Sends echo requests over one socket and waits for their answers.

use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::packet::{self, Family, Verdict};
use super::socket::IcmpSocket;
use super::waiting::{Heard, Waiting};
use crate::ProbeError;

/// The wait for room in a full send buffer.
const SEND_RETRY: Duration = Duration::from_millis(1);
/// The wait after an error of the socket that is about no packet, so that a lasting one does not cost a core.
const ERROR_PAUSE: Duration = Duration::from_millis(100);
/// The longest IP packet.
const MAX_PACKET_BYTES: usize = 65_535;

/// A host's answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) latency: Duration,
    pub(crate) ttl: Option<u64>,
}

/// One address family. Its thread ends within a second after it was dropped.
#[derive(Debug)]
pub(crate) struct Pinger {
    socket: Arc<IcmpSocket>,
    family: Family,
    identifier: u16,
    waiting: Arc<Waiting>,
}

impl Pinger {
    /// # Errors
    /// One sentence that says what to do.
    pub(crate) fn open(family: Family) -> Result<Self, ProbeError> {
        let unavailable = |source| ProbeError::Unavailable { what: "an ICMP receiver", source: Arc::new(source) };
        let socket = Arc::new(IcmpSocket::open(family)?);
        let identifier = socket.identifier(std::process::id() as u16).map_err(unavailable)?;
        let waiting = Arc::new(Waiting::new());
        let (receiver, listener) = (socket.clone(), Arc::downgrade(&waiting));
        let name = "icmp-receiver".to_owned();
        thread::Builder::new().name(name).spawn(move || receive(family, &receiver, &listener)).map_err(unavailable)?;
        Ok(Self { socket, family, identifier, waiting })
    }

    /// Sends one request and waits for its answer, for ever where none comes.
    pub(crate) async fn ping(&self, address: IpAddr, size: usize) -> Result<Answer, String> {
        let mut place = self.waiting.enter(self.identifier).ok_or("too many probes wait for their answers")?;
        let request = packet::request(self.family, place.echo, size);
        let sent = loop {
            let now = Instant::now();
            match self.socket.send(&request, address) {
                Ok(()) => break now,
                Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::EINTR) => tokio::time::sleep(SEND_RETRY).await,
                Err(error) => return Err(format!("it cannot be sent: {}", error.desc())),
            }
        };
        match (&mut place.answer).await {
            Ok(Heard { verdict: Verdict::Answered, at, ttl }) => Ok(Answer { latency: at - sent, ttl }),
            Ok(Heard { verdict: Verdict::Unreachable(why), .. }) => Err(why.to_owned()),
            Err(_) => Err("its place was given up".to_owned()),
        }
    }
}

fn receive(family: Family, socket: &IcmpSocket, waiting: &Weak<Waiting>) {
    let mut buffer = vec![0; MAX_PACKET_BYTES];
    while let Some(waiting) = waiting.upgrade() {
        match socket.receive(&mut buffer) {
            Ok((message, ttl)) => {
                let at = Instant::now();
                if let Some((echo, verdict)) = packet::read(family, message) {
                    waiting.heard(echo, Heard { at, verdict, ttl });
                }
            }
            Err(error) if is_no_error(&error) => {}
            Err(_) => thread::sleep(ERROR_PAUSE),
        }
    }
}

fn is_no_error(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::Interrupted)
}
