//! Pings and ticks of several servers on one PostgreSQL.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tallybook_tests::PATIENCE;
use tallybook_tests::postgres::Database;
use tallybook_tests::server::Client;
use tallybook_tests::setup::Setup;

const CSV: [(&str, &str); 1] = [("content-type", "text/csv")];
/// Records in a request.
const BATCH: u64 = 50;

/// Ticks without numbers, of one symbol, half of them before midnight; all servers send the same moments. Prices tell which
/// server sent them, in which request.
fn ticks(server: usize, request: u64) -> String {
    let mut text = String::from("symbol,timestamp,bid\n");
    for at in 0..BATCH {
        let moment = if at % 2 == 0 { "2026-03-01T23:59:59" } else { "2026-03-02T00:00:00" };
        let _ = writeln!(text, "EURUSD,{moment}.{:06}Z,{}", request % 7, bid(server, request, at));
    }
    text
}

fn bid(server: usize, request: u64, at: u64) -> String {
    format!("{}.{request:06}{at:02}", server + 1)
}

fn pings(server: usize, request: u64) -> String {
    let mut text = String::from("target,timestamp,latency_ms\n");
    for at in request * BATCH..(request + 1) * BATCH {
        let _ = writeln!(text, "host-{server},{},{}", 1_767_225_600 + at, 1 + at % 9);
    }
    text
}

/// Requests that were answered, and those that may have been taken.
#[derive(Debug, Default)]
struct Sent {
    acknowledged: BTreeSet<u64>,
    unclear: BTreeSet<u64>,
}

async fn feed(client: Client, server: usize, stop: Arc<AtomicBool>) -> [Sent; 2] {
    let mut sent = [Sent::default(), Sent::default()];
    for request in 0.. {
        let bodies = [("ticks", ticks(server, request)), ("pings", pings(server, request))];
        for ((path, body), sent) in bodies.into_iter().zip(&mut sent) {
            let answer = client.post_to_api(path, &CSV, body).await;
            let taken = answer.is_ok_and(|answer| answer.status == 200);
            if taken { &mut sent.acknowledged } else { &mut sent.unclear }.insert(request);
        }
        if stop.load(Ordering::Relaxed) || sent.iter().any(|sent| !sent.unclear.is_empty()) {
            return sent;
        }
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_on_one_database_keep_every_ping_and_tick_also_when_one_of_them_is_killed() -> Result<()> {
    let database = Database::new()?;
    let setup =
        || Ok::<_, anyhow::Error>(Setup::new()?.with("USE_DB", "postgres").with("DATABASE_URL", &database.url()));
    let setups = [setup()?, setup()?];
    let [killed, other] = [setups[0].start().await?, setups[1].start().await?];
    let stop = Arc::new(AtomicBool::new(false));
    let feeds = [&killed, &other].into_iter().enumerate();
    let feeds: Vec<_> = feeds.map(|(at, server)| tokio::spawn(feed(server.client(), at, stop.clone()))).collect();
    let begun = Instant::now();
    for server in [&killed, &other] {
        while server.api("stats").await?["families"]["tick"]["stored"].as_u64() < Some(20 * BATCH) {
            ensure!(begun.elapsed() < PATIENCE, "the ticks are not stored");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    killed.kill().await?;
    stop.store(true, Ordering::Relaxed);
    let (mut known_bids, mut sure_bids) = (BTreeSet::new(), BTreeSet::new());
    let mut sent_pings = Vec::new();
    for (server, feed) in feeds.into_iter().enumerate() {
        let [ticks, pings] = feed.await?;
        let bids = |requests: &BTreeSet<u64>| -> BTreeSet<String> {
            requests.iter().flat_map(|request| (0..BATCH).map(|at| bid(server, *request, at))).collect()
        };
        known_bids.extend(bids(&ticks.acknowledged).into_iter().chain(bids(&ticks.unclear)));
        sure_bids.extend(bids(&ticks.acknowledged));
        sent_pings.push(pings);
    }

    let restarted = setups[0].start().await?;
    let exported = restarted.get("/api/v1/ticks/export?symbol=EURUSD").await?.text();
    let bids: Vec<&str> = exported.lines().skip(1).filter_map(|line| line.split(',').nth(3)).collect();
    let stored: BTreeSet<String> = bids.iter().map(|bid| (*bid).to_owned()).collect();
    assert_eq!(stored.len(), bids.len(), "a tick is there twice");
    assert!(sure_bids.is_subset(&stored), "{:?} is lost", sure_bids.difference(&stored).next());
    assert!(stored.is_subset(&known_bids));
    assert_eq!(restarted.list("ticks/segments").await?.len(), 2);
    assert_eq!(database.ask("SELECT count(*) FROM ticks")?, [bids.len().to_string()]);

    let range = "from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z";
    for (server, sent) in sent_pings.iter().enumerate() {
        let count = database.ask(&format!("SELECT count(*) FROM pings WHERE target = 'host-{server}'"))?;
        let count: u64 = count.first().context("a row")?.parse()?;
        let (least, most) = (sent.acknowledged.len() as u64, (sent.acknowledged.len() + sent.unclear.len()) as u64);
        assert!((least * BATCH..=most * BATCH).contains(&count), "{count}: {sent:?}");
        let summary = other.api(&format!("targets/host-{server}/summary?{range}")).await?;
        assert_eq!(summary["count"], json!(count));
    }
    assert_eq!(restarted.api("retention").await?["seal"], json!([]), "nothing is promised that is not kept");
    restarted.stop().await?;
    other.stop().await?;
    for arguments in [&["seal", "--dry-run"][..], &["seal"], &["unseal", "2026-03-01"]] {
        let mut command = setups[0].command(arguments)?;
        let output = command.env("USE_DB", "postgres").env("DATABASE_URL", database.url()).output().await?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains("days"), "{arguments:?}: {said}");
    }
    Ok(())
}
