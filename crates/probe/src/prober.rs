//! Sends single probes.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Client;
use tallybook_core::{Ping, Timestamp};
use tokio::net::TcpStream;
use tokio::time::timeout_at;

use crate::icmp::{Answer, Family, Pinger};
use crate::resolver::Resolver;
use crate::{Kind, ProbeError, Target, http};

/// The least payload of an ICMP probe, in bytes: what names the probe.
pub const MIN_PACKET_SIZE: usize = 8;
/// The greatest payload of an ICMP probe, in bytes: what an IPv4 packet carries.
pub const MAX_PACKET_SIZE: usize = 65_507;

/// How probes are sent.
#[derive(Clone, Copy, Debug)]
pub struct ProbeOptions {
    /// How long an answer is waited for.
    pub timeout: Duration,
    /// The payload of an ICMP probe, in bytes.
    pub packet_size: usize,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(1), packet_size: 56 }
    }
}

/// Sends probes, any number at a time. Cheap to clone; clones share their sockets and the addresses they know.
#[derive(Clone, Debug)]
pub struct Prober(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: ProbeOptions,
    resolver: Resolver,
    v4: Shared<Pinger>,
    v6: Shared<Pinger>,
    http: Shared<Client>,
}

/// Opened when it is first needed; what cannot be opened is tried again the next time, as permissions change.
type Shared<T> = Mutex<Option<Arc<T>>>;

fn shared<T>(place: &Shared<T>, open: impl FnOnce() -> Result<T, ProbeError>) -> Result<Arc<T>, ProbeError> {
    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(open) = &*place {
        return Ok(open.clone());
    }
    let opened = Arc::new(open()?);
    Ok(place.insert(opened).clone())
}

impl Prober {
    /// A prober that holds nothing open yet.
    ///
    /// # Errors
    /// [`ProbeError::Setting`] when the packet size is outside [`MIN_PACKET_SIZE`] and [`MAX_PACKET_SIZE`].
    pub fn new(options: ProbeOptions) -> Result<Self, ProbeError> {
        if !(MIN_PACKET_SIZE..=MAX_PACKET_SIZE).contains(&options.packet_size) {
            let size = options.packet_size;
            let sentence = format!("a packet size of {size} bytes is not from {MIN_PACKET_SIZE} to {MAX_PACKET_SIZE}");
            return Err(ProbeError::Setting(sentence));
        }
        let (v4, v6, http) = (Mutex::default(), Mutex::default(), Mutex::default());
        Ok(Self(Arc::new(Inner { options, resolver: Resolver::new(), v4, v6, http })))
    }

    /// Whether this process can send probes of this kind at all. Without asking, their pings would call the host lost.
    ///
    /// # Errors
    /// One sentence that says what to do.
    pub fn check(&self, target: &Target) -> Result<(), ProbeError> {
        match (target.kind(), target.host()) {
            (Kind::Tcp { .. }, _) => Ok(()),
            (Kind::Http { .. }, _) => self.http_client().map(drop),
            (Kind::Icmp { .. }, url::Host::Ipv4(_)) => self.pinger(Family::V4).map(drop),
            (Kind::Icmp { .. }, url::Host::Ipv6(_)) => self.pinger(Family::V6).map(drop),
            // Which family its name has is not known yet.
            (Kind::Icmp { .. }, url::Host::Domain(_)) => {
                self.pinger(Family::V4).or_else(|_| self.pinger(Family::V6)).map(drop)
            }
        }
    }

    /// One probe with the time limit of the options.
    pub async fn probe(&self, target: &Target) -> Ping {
        self.probe_within(target, self.0.options.timeout).await
    }

    /// One probe that may take as long as `limit`, the look-up of its name included. A lost one says why.
    pub async fn probe_within(&self, target: &Target, limit: Duration) -> Ping {
        let deadline = tokio::time::Instant::now() + limit.min(Duration::from_nanos(Ping::MAX_LATENCY));
        let addresses = timeout_at(deadline, self.0.resolver.addresses(target.host())).await;
        let time = Timestamp::now();
        let limit = humantime::format_duration(limit);
        let answer = match addresses {
            Ok(Ok(addresses)) => match timeout_at(deadline, self.answer(target, &addresses)).await {
                Ok(answer) => answer,
                Err(_) => Err(format!("no answer within {limit}")),
            },
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("its name was not resolved within {limit}")),
        };
        let packet_size = matches!(target.kind(), Kind::Icmp { .. }).then_some(self.0.options.packet_size as u64);
        let lost = Ping {
            target: target.name().clone(),
            time,
            latency: None,
            success: false,
            ttl: None,
            packet_size,
            sequence: None,
            jitter: None,
            error: None,
        };
        match answer {
            Ok(Answer { latency, ttl }) => {
                let latency = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX).clamp(1, Ping::MAX_LATENCY);
                Ping { latency: Some(latency), success: true, ttl, ..lost }
            }
            Err(error) => Ping { error: Some(error.into()), ..lost },
        }
    }

    async fn answer(&self, target: &Target, addresses: &[IpAddr]) -> Result<Answer, String> {
        let latency = match target.kind() {
            Kind::Icmp { .. } => return self.ping(addresses).await,
            Kind::Tcp { port, .. } => connect(addresses, *port).await?,
            Kind::Http { url } => {
                let client = self.http_client().map_err(|error| error.to_string())?;
                http::probe(&client, url).await?
            }
        };
        Ok(Answer { latency, ttl: None })
    }

    /// Pings the first address that anything can be sent to.
    async fn ping(&self, addresses: &[IpAddr]) -> Result<Answer, String> {
        let mut lost = Err("its name has no address".to_owned());
        for &address in addresses {
            let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
            lost = match self.pinger(family) {
                Ok(pinger) => pinger.ping(address, self.0.options.packet_size).await,
                Err(error) => Err(error.to_string()),
            };
            if lost.is_ok() {
                break;
            }
        }
        lost
    }

    fn pinger(&self, family: Family) -> Result<Arc<Pinger>, ProbeError> {
        let place = match family {
            Family::V4 => &self.0.v4,
            Family::V6 => &self.0.v6,
        };
        shared(place, || Pinger::open(family))
    }

    fn http_client(&self) -> Result<Arc<Client>, ProbeError> {
        shared(&self.0.http, || http::client(self.0.resolver.clone()))
    }
}

/// Connects to the first address that accepts and gives the time that took.
async fn connect(addresses: &[IpAddr], port: u16) -> Result<Duration, String> {
    let mut lost = Err("its name has no address".to_owned());
    for &address in addresses {
        let start = Instant::now();
        match TcpStream::connect((address, port)).await {
            Ok(_) => return Ok(start.elapsed()),
            Err(error) => lost = Err(error.to_string()),
        }
    }
    lost
}
