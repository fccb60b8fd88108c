//! Load over loopback: connections that send requests made beforehand, one after another, as exporters do.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::payload::Payload;
use crate::server::Server;

/// What a load did.
#[derive(Debug, Default)]
pub struct Done {
    /// Records acknowledged.
    pub records: u64,
    /// How long it took.
    pub wall: Duration,
    /// Processor time the server used meanwhile.
    pub cpu: Duration,
    /// How long each list call took.
    pub list_calls: Vec<Duration>,
}

impl Done {
    /// Acknowledged records per second of processor time of the server.
    pub fn per_cpu_second(&self) -> f64 {
        self.records as f64 / self.cpu.as_secs_f64()
    }

    /// Acknowledged records per second.
    pub fn per_second(&self) -> f64 {
        self.records as f64 / self.wall.as_secs_f64()
    }

    /// The list call that `share` of all calls were not slower than, in milliseconds.
    pub fn list_ms(&self, share: f64) -> f64 {
        let mut calls = self.list_calls.clone();
        calls.sort_unstable();
        let at = ((calls.len() as f64 * share) as usize).min(calls.len().saturating_sub(1));
        calls.get(at).map_or(f64::NAN, |call| call.as_secs_f64() * 1e3)
    }
}

/// Sends `payloads` in turn over `connections` for `time`, calling each of `lists` every 50 ms meanwhile.
///
/// # Errors
/// When a request is not answered with 200.
pub fn run(server: &Server, payloads: &[Payload], connections: usize, time: Duration, lists: &[&str]) -> Result<Done> {
    let stop = AtomicBool::new(false);
    let next = AtomicUsize::new(0);
    let records = AtomicU64::new(0);
    let cpu_before = server.cpu()?;
    let started = Instant::now();
    let list_calls = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..connections)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    let mut connection = Connection::open(server.otlp_http)?;
                    while !stop.load(Ordering::Relaxed) {
                        let payload = &payloads[next.fetch_add(1, Ordering::Relaxed) % payloads.len()];
                        connection.send(payload)?;
                        records.fetch_add(payload.records, Ordering::Relaxed);
                    }
                    Ok(())
                })
            })
            .collect();
        let calls = call_lists(server, started + time, lists);
        stop.store(true, Ordering::Relaxed);
        for sender in senders {
            sender.join().expect("a sender does not panic")?;
        }
        calls
    })?;
    let wall = started.elapsed();
    Ok(Done { records: records.into_inner(), wall, cpu: server.cpu()?.saturating_sub(cpu_before), list_calls })
}

/// Sends every payload once.
///
/// # Errors
/// When a request is not answered with 200.
pub fn send_all(server: &Server, payloads: &[Payload]) -> Result<()> {
    let mut connection = Connection::open(server.otlp_http)?;
    payloads.iter().try_for_each(|payload| connection.send(payload))
}

fn call_lists(server: &Server, until: Instant, lists: &[&str]) -> Result<Vec<Duration>> {
    let mut calls = Vec::new();
    while Instant::now() < until {
        for path in lists {
            let started = Instant::now();
            let (status, _) = server.get(path)?;
            if status != 200 {
                bail!("{path} answered {status}");
            }
            calls.push(started.elapsed());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(calls)
}

struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).context("connecting")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    fn send(&mut self, payload: &Payload) -> Result<()> {
        self.stream.get_mut().write_all(&payload.http_request)?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let accepted = line.contains(" 200 ");
        let mut head = line.clone();
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            head.push_str(&line);
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        if !accepted {
            bail!("refused: {head}{}", String::from_utf8_lossy(&body));
        }
        Ok(())
    }
}
