//! Disks that are full, and disks that cannot be written to.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tallybook_testing::SmallDisk;
use tallybook_tests::PATIENCE;
use tallybook_tests::load::Load;
use tallybook_tests::otlp::{log, logs, span, text, traces};
use tallybook_tests::server::Server;
use tallybook_tests::setup::Setup;
use tallybook_tests::tools::check_integrity;

/// Spans in a request, each with a name and a key of its own: every request needs room on the disk.
const BATCH: u64 = 1_000;
/// Clients; what they send at the same time is more than the server keeps in memory for later.
const CLIENTS: usize = 24;
/// Room for all that the server keeps in memory, and for what it writes before and after.
const DISK_MIB: u32 = 512;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_to_clients_and_heals_by_itself() -> Result<()> {
    let disk = SmallDisk::new(DISK_MIB)?;
    let setup = Setup::new()?.data_in(disk.path()).with("QUEUE_MAX_WAIT", "200ms");
    let server = setup.start().await?;
    let load = Load::start(&server, CLIENTS, Duration::from_millis(10), |number| {
        let named = |at| {
            let mut span = span(format!("operation-{number}-{at}"));
            span.attributes = vec![text(&format!("key-{number}-{at}"), "value")];
            span
        };
        (traces("checkout", (0..BATCH).map(named).collect()), BATCH)
    });
    load.wait_for(10 * BATCH, PATIENCE).await?;

    disk.fill()?;
    wait_until_ready_answers(&server, 503).await?;
    let ready = server.get("/api/v1/ready").await?;
    assert!(ready.text().contains("full"), "{}: {}", ready.status, ready.text());
    // Some find no room while the disk is full.
    load.wait_until_put_off(PATIENCE).await?;

    disk.free()?;
    wait_until_ready_answers(&server, 200).await?;
    load.wait_for(10 * BATCH, PATIENCE).await?;
    let tally = load.stop().await?;
    assert_eq!(tally.refusals, Vec::<String>::new());

    let accounting = server.accounting().await?;
    assert_eq!((accounting.rejected, accounting.queued), (0, 0));
    let known = server.list("services").await?[0]["spans"].as_u64().unwrap_or_default();
    assert_eq!(known, accounting.merged);
    assert!(known >= tally.acknowledged, "{known} known, {tally:?}");
    assert!(known <= tally.acknowledged + tally.unclear, "{known} known, {tally:?}");
    server.stop().await?;
    check_integrity(&setup.database())
}

async fn wait_until_ready_answers(server: &Server, status: u16) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if server.get("/api/v1/ready").await?.status == status {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bail!("the server did not become {status} on /api/v1/ready; it said:\n{}", server.log()?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_data_folder_is_one_sentence() -> Result<()> {
    let disk = SmallDisk::new(8)?;
    disk.make_read_only()?;
    let setup = Setup::new()?.data_in(disk.path());
    setup.start_refused().await?.says(&[&disk.path().to_string_lossy(), "Read-only file system"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_became_read_only_is_one_sentence() -> Result<()> {
    let disk = SmallDisk::new(8)?;
    let setup = Setup::new()?.data_in(disk.path());
    let server = setup.start().await?;
    server.send(&logs("checkout", vec![log("user 1 logged in")])).await?;
    server.stop().await?;
    disk.make_read_only()?;
    setup.start_refused().await?.says(&[&disk.path().to_string_lossy(), "Read-only file system"])
}
