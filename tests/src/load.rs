//! Clients that send one request after another and write down what became of each record.

use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use crate::otlp::Export;
use crate::server::{Client, Encoding};

/// The pause after a refusal, shorter than a polite client's.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(20);

/// How a client speaks to the server.
#[derive(Clone, Copy, Debug)]
enum Transport {
    Http,
    Grpc,
}

/// What became of the records that were sent.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Records the server said it has.
    pub acknowledged: u64,
    /// Records the server did not answer for, or answered for with an error: it may have them.
    pub unclear: u64,
    /// Requests that were refused for now: the answer says when to try again.
    pub put_off: u64,
    /// Every other refusal, in words.
    pub refusals: Vec<String>,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        let Self { acknowledged, unclear, put_off, refusals } = other;
        self.acknowledged += acknowledged;
        self.unclear += unclear;
        self.put_off += put_off;
        self.refusals.extend(refusals);
    }
}

/// Clients at work.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    put_off: Arc<AtomicU64>,
    clients: JoinSet<Tally>,
}

impl Load {
    /// Starts `clients` clients, every other one over gRPC, that send what `request` makes of a running number and the
    /// records in it, with a pause after each request.
    pub fn start<E, F>(client: &Client, clients: usize, pause: Duration, request: F) -> Self
    where
        E: Export,
        F: Fn(u64) -> (E, u64) + Send + Sync + 'static,
    {
        let (stop, acknowledged, put_off) = (Arc::default(), Arc::default(), Arc::default());
        let (request, numbers) = (Arc::new(request), Arc::new(AtomicU64::new(0)));
        let mut tasks = JoinSet::new();
        for transport in [Transport::Http, Transport::Grpc].into_iter().cycle().take(clients) {
            let (client, stop): (_, Arc<AtomicBool>) = (client.clone(), Arc::clone(&stop));
            let (acknowledged, put_off): (Arc<AtomicU64>, Arc<AtomicU64>) =
                (Arc::clone(&acknowledged), Arc::clone(&put_off));
            let (request, numbers) = (Arc::clone(&request), Arc::clone(&numbers));
            tasks.spawn(async move {
                let mut tally = Tally::default();
                while !stop.load(Ordering::Relaxed) {
                    let (request, records) = request(numbers.fetch_add(1, Ordering::Relaxed));
                    let accepted = send(&client, transport, &request, records, &mut tally).await;
                    if accepted {
                        acknowledged.fetch_add(records, Ordering::Relaxed);
                    }
                    put_off.fetch_max(tally.put_off, Ordering::Relaxed);
                    tokio::time::sleep(if accepted { pause } else { PAUSE_AFTER_REFUSAL }).await;
                }
                tally
            });
        }
        Self { stop, acknowledged, put_off, clients: tasks }
    }

    /// Waits until another `records` records are acknowledged.
    ///
    /// # Errors
    /// When that takes longer than `limit`.
    pub async fn wait_for(&self, records: u64, limit: Duration) -> Result<()> {
        let goal = self.acknowledged.load(Ordering::Relaxed) + records;
        reaches(&self.acknowledged, goal, limit, "more records were not acknowledged").await
    }

    /// Waits until some client was told to come again later.
    ///
    /// # Errors
    /// When that takes longer than `limit`.
    pub async fn wait_until_put_off(&self, limit: Duration) -> Result<()> {
        reaches(&self.put_off, 1, limit, "no client was told to come again later").await
    }

    /// Lets every client finish what it is at.
    ///
    /// # Errors
    /// When a client panicked.
    pub async fn stop(mut self) -> Result<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        let mut total = Tally::default();
        while let Some(tally) = self.clients.join_next().await {
            total += tally?;
        }
        Ok(total)
    }
}

async fn reaches(number: &AtomicU64, goal: u64, limit: Duration, otherwise: &str) -> Result<()> {
    let begun = Instant::now();
    while number.load(Ordering::Relaxed) < goal {
        ensure!(begun.elapsed() <= limit, "{otherwise} within {} s", limit.as_secs());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Sends a request; says whether the server took it.
async fn send<E: Export>(client: &Client, transport: Transport, request: &E, records: u64, tally: &mut Tally) -> bool {
    let bytes = request.encode_to_vec();
    let answer = match transport {
        Transport::Http => client.post(E::SIGNAL, Encoding::Protobuf, None, bytes).await,
        Transport::Grpc => client.call(E::SIGNAL, None, &bytes).await,
    };
    let Ok(answer) = answer else {
        tally.unclear += records;
        return false;
    };
    let taken = match transport {
        Transport::Http => answer.status == 200,
        Transport::Grpc => answer.grpc_code().is_ok_and(|code| code == 0),
    };
    if taken {
        tally.acknowledged += records;
        return true;
    }
    tally.unclear += records;
    match answer.asks_for_a_retry() {
        Ok(true) => tally.put_off += 1,
        _ => tally.refusals.push(format!("{answer:?}")),
    }
    false
}
