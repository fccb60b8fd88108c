//! Pings, ticks and executions from clients that remember what was acknowledged, and what a PostgreSQL then has of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use tallybook_tests::answer::Answer;
use tallybook_tests::server::Client;
use tokio::task::JoinSet;

/// The time of the first record, in microseconds since 1970; each record has a microsecond of its own.
const BEGIN: u64 = 1_793_664_000_000_000;
/// Names of targets and symbols, so that records of all clients meet in the same sums.
const NAMES: u64 = 3;
const PAUSE: Duration = Duration::from_millis(10);
const CSV: [(&str, &str); 1] = [("content-type", "text/csv")];

/// What a request brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Pings,
    Ticks,
    Executions,
}

/// What became of requests, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) acknowledged: BTreeSet<u64>,
    /// The server may have them.
    pub(crate) unclear: BTreeSet<u64>,
    /// Refused for now: the answer says when to try again.
    pub(crate) put_off: u64,
    /// Every other refusal, in words.
    pub(crate) refusals: Vec<String>,
}

impl Sent {
    pub(crate) fn append(&mut self, mut other: Self) {
        self.acknowledged.append(&mut other.acknowledged);
        self.unclear.append(&mut other.unclear);
        self.put_off += other.put_off;
        self.refusals.append(&mut other.refusals);
    }
}

/// Clients at work.
pub(crate) struct Families {
    stop: Arc<AtomicBool>,
    clients: JoinSet<(Kind, Sent)>,
}

impl Families {
    /// Starts `clients` of each kind, whose requests have `batch` records and are numbered from `first` on.
    pub(crate) fn start(client: &Client, first: u64, clients: usize, batch: u64) -> Self {
        let (stop, numbers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(first)));
        let mut tasks = JoinSet::new();
        for kind in [Kind::Pings, Kind::Ticks, Kind::Executions].into_iter().cycle().take(3 * clients) {
            let (client, stop, numbers) = (client.clone(), stop.clone(), numbers.clone());
            tasks.spawn(async move {
                let mut sent = Sent::default();
                while !stop.load(Ordering::Relaxed) {
                    let number = numbers.fetch_add(1, Ordering::Relaxed);
                    match send(&client, kind, number, batch).await {
                        Ok(answer) if answer.status == 200 => {
                            sent.acknowledged.insert(number);
                        }
                        Ok(answer) => {
                            sent.unclear.insert(number);
                            if [429, 503].contains(&answer.status) && answer.header("retry-after").is_some() {
                                sent.put_off += 1;
                            } else {
                                sent.refusals.push(format!("{kind:?}: {}: {}", answer.status, answer.text()));
                            }
                        }
                        Err(_) => {
                            sent.unclear.insert(number);
                        }
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                (kind, sent)
            });
        }
        Self { stop, clients: tasks }
    }

    /// Lets every client finish what it is at.
    pub(crate) async fn stop(mut self) -> Result<BTreeMap<Kind, Sent>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = BTreeMap::new();
        while let Some(ended) = self.clients.join_next().await {
            let (kind, sent) = ended?;
            all.entry(kind).or_insert_with(Sent::default).append(sent);
        }
        Ok(all)
    }
}

async fn send(client: &Client, kind: Kind, number: u64, batch: u64) -> Result<Answer> {
    let keys = number * batch..(number + 1) * batch;
    match kind {
        Kind::Pings => {
            let mut text = String::from("target,timestamp,latency_ms\n");
            keys.for_each(|key| _ = writeln!(text, "host-{},{},1.5", key % NAMES, BEGIN + key));
            client.post_to_api("pings", &CSV, text).await
        }
        Kind::Ticks => {
            let mut text = String::from("symbol,timestamp,seq,bid,ask\n");
            keys.for_each(|key| _ = writeln!(text, "S{},{},0,1.08500,1.08512", key % NAMES, BEGIN + key));
            // Every request brings this one again.
            let _ = writeln!(text, "S0,{},1,1,2", BEGIN - 1);
            client.post_to_api("ticks", &CSV, text).await
        }
        Kind::Executions => {
            let events = json!([
                { "number": 1, "type": "created", "name": "job" },
                { "number": 2, "type": "started" },
                { "number": 3, "type": "lines", "lines": ["one", "two"] },
                { "number": 4, "type": "finished", "status": "completed", "exit_code": 0 },
            ]);
            let path = format!("executions/0190a1b2-c3d4-7e5f-8a9b-{number:012x}/events");
            client.post_to_api(&path, &[("content-type", "application/json")], events.to_string()).await
        }
    }
}

/// Compares what was sent with the tables: each request whole or not at all, what was acknowledged once, and every sum true.
pub(crate) fn check(ask: impl Fn(&str) -> Result<Vec<String>>, sent: &BTreeMap<Kind, Sent>, batch: u64) -> Result<()> {
    for (kind, sent) in sent {
        let (found, records) = match kind {
            Kind::Pings => (by_request("ping", batch), batch),
            Kind::Ticks => (by_request("tick", batch), batch),
            Kind::Executions => (
                "SELECT ('x' || right(id, 12))::bit(48)::bigint, lines FROM execution WHERE status = 'completed'"
                    .into(),
                2,
            ),
        };
        let mut found = ask(&found)?
            .iter()
            .map(|row| {
                let (number, records) = row.split_once('|').context("two columns")?;
                Ok((number.parse()?, records.parse()?))
            })
            .collect::<Result<BTreeMap<u64, u64>>>()?;
        for number in &sent.acknowledged {
            assert_eq!(found.remove(number), Some(records), "{kind:?}: acknowledged request {number}");
        }
        for (number, found) in found {
            assert!(sent.unclear.contains(&number), "{kind:?}: {found} records of {number}, which nobody sent");
        }
    }
    let sums = "SELECT (SELECT count(*) FROM ping) = ALL (SELECT sum(count) FROM ping_bucket GROUP BY resolution),
        (SELECT count(*) FROM tick) = (SELECT sum(count) FROM tick_day),
        (SELECT count(*) FROM tick WHERE seq = 1)";
    assert_eq!(ask(sums)?, ["t|t|1"], "pings and their sums, ticks and their sums, the tick of all");
    Ok(())
}

/// The records of each request in a table.
fn by_request(table: &str, batch: u64) -> String {
    format!(
        "SELECT (\"time\" / 1000 - {BEGIN}) / {batch}, count(*) FROM {table} WHERE \"time\" >= {BEGIN}000 GROUP BY 1"
    )
}
