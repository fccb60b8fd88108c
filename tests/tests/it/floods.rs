//! A million different names: memory stays bounded, every record is counted, and the loss of names is visible.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use serde_json::Value;
use tallybook_tests::otlp::{Export, gauge, log, metrics, resource, resource_logs, span, text, traces};
use tallybook_tests::server::{Client, Encoding, Server};
use tallybook_tests::setup::Setup;
use tokio::task::JoinSet;

/// Different names in a flood.
const NAMES: u64 = 1_000_000;
/// Of these, in a request.
const BATCH: u64 = 10_000;
/// Requests at the same time.
const CLIENTS: u64 = 4;
/// What the server may hold at the most.
const MEMORY_MIB: u64 = 300;
/// What counts everything past a budget.
const OVERFLOW: &str = "<overflow>";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_services_are_counted_in_bounded_memory() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    flood(&server, |names| {
        let one = |name| resource_logs(resource(&format!("service-{}", word(name))), vec![log("user 1 logged in")]);
        ExportLogsServiceRequest { resource_logs: names.map(one).collect() }
    })
    .await?;
    let services = server.list("services").await?;
    assert_eq!(services.len(), 1_000 + 1, "the default budget, and the overflow");
    counts_all(&services, "name", "log_records")?;
    ends_in_bounded_memory(server).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_keys_are_counted_in_bounded_memory() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    flood(&server, |names| {
        let labels = names.map(|name| vec![text(&format!("key-{}", word(name)), "value")]).collect();
        metrics("checkout", vec![gauge("queue.length", labels)])
    })
    .await?;
    let keys = server.list("attributes?scope=attribute").await?;
    assert!(keys.len() < 1_000, "{} keys of one metric", keys.len());
    counts_all(&keys, "key", "count")?;
    ends_in_bounded_memory(server).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_span_names_are_counted_in_bounded_memory() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    flood(&server, |names| traces("checkout", names.map(|name| span(word(name))).collect())).await?;
    let spans = server.list("spans").await?;
    assert_eq!(spans.len(), 20_000 + 1, "the default budget, and the overflow");
    counts_all(&spans, "name", "sample_count")?;
    let patterns = server.list("span-patterns").await?;
    let sum: u64 = patterns.iter().filter_map(|pattern| pattern["sample_count"].as_u64()).sum();
    assert_eq!(sum, NAMES);
    ends_in_bounded_memory(server).await
}

/// Letters only, and unlike its neighbours: nothing that a mask or a template would make equal to another.
fn word(number: u64) -> String {
    let mut rest = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut word = String::with_capacity(14);
    while rest > 0 {
        word.push(char::from(b'g' + (rest % 20) as u8));
        rest /= 20;
    }
    word
}

/// Sends requests with all the names, several at a time.
async fn flood<E, F>(client: &Client, request: F) -> Result<()>
where
    E: Export + 'static,
    F: Fn(std::ops::Range<u64>) -> E + Copy + Send + Sync + 'static,
{
    let mut clients = JoinSet::new();
    for first in 0..CLIENTS {
        let client = client.clone();
        clients.spawn(async move {
            for batch in (first..NAMES / BATCH).step_by(CLIENTS as usize) {
                send_until_taken(&client, &request(batch * BATCH + 1..(batch + 1) * BATCH + 1)).await?;
            }
            anyhow::Ok(())
        });
    }
    clients.join_all().await.into_iter().collect()
}

/// As OTLP wants it of its clients: what is refused for now is sent again when the server says.
async fn send_until_taken<E: Export>(client: &Client, request: &E) -> Result<()> {
    let body = Bytes::from(request.encode_to_vec());
    loop {
        let answer = client.post(E::SIGNAL, Encoding::Protobuf, None, body.clone()).await?;
        match answer.status {
            200 => return Ok(()),
            429 | 503 => {
                let seconds = answer.header("retry-after").context("no Retry-After")?.parse()?;
                tokio::time::sleep(Duration::from_secs(seconds)).await;
            }
            other => bail!("refused with {other}: {}", answer.text()),
        }
    }
}

/// Checks that the counts add up to all there were, and that the overflow entry has what is past the budget.
fn counts_all(items: &[Value], name: &str, count: &str) -> Result<()> {
    let sum: u64 = items.iter().filter_map(|item| item[count].as_u64()).sum();
    assert_eq!(sum, NAMES);
    let overflow = items.iter().find(|item| item[name] == OVERFLOW).context("no overflow entry")?;
    let others = items.len() as u64 - 1;
    assert_eq!(overflow[count], NAMES - others, "each of the others was seen once");
    Ok(())
}

async fn ends_in_bounded_memory(server: Server) -> Result<()> {
    let accounting = server.accounting().await?;
    assert_eq!((accounting.merged, accounting.queued), (NAMES, 0));
    let peak = server.peak_memory_mib()?;
    assert!(peak < MEMORY_MIB, "the server held {peak} MiB");
    server.stop().await
}
