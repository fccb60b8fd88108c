//! Ticks on bad days: the server is killed, the disk is full, the input is bad.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use flate2::{Compression, write::GzEncoder};
use tallybook_testing::SmallDisk;
use tallybook_tests::PATIENCE;
use tallybook_tests::server::Client;
use tallybook_tests::setup::Setup;
use tallybook_tests::tools::{check_integrity, run, tallybook};
use tokio::process::Command;
use tokio::task::JoinSet;

/// Ticks in a request: half of them before midnight, half of them after, so that each request is of two files.
const BATCH: u64 = 200;
const CLIENTS: u64 = 4;
const CSV: [(&str, &str); 1] = [("content-type", "text/csv")];

/// The ticks of the n-th request.
fn request(symbol: &str, number: u64) -> String {
    csv(symbol, number * BATCH..(number + 1) * BATCH)
}

/// Ticks that their producer numbered, those with even numbers before midnight and the others after it.
fn csv(symbol: &str, seqs: std::ops::Range<u64>) -> String {
    let mut text = String::from("symbol,timestamp,bid,ask,seq,lp\n");
    for seq in seqs {
        let day = if seq % 2 == 0 { "2026-03-01T23:59:59" } else { "2026-03-02T00:00:00" };
        let [bid, ask] = [noise(2 * seq) % 100_000, noise(2 * seq + 1) % 100_000];
        let _ = writeln!(text, "{symbol},{day}.{:06}Z,1.{bid:05},2.{ask:05},{seq},lp-1", seq % 1_000_000);
    }
    text
}

/// Prices without a pattern (splitmix64), so that sealed ones take room.
fn noise(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What became of the requests of one client.
#[derive(Debug, Default)]
struct Sent {
    /// Whose symbol it was.
    client: u64,
    acknowledged: BTreeSet<u64>,
    /// The server may have them.
    unclear: BTreeSet<u64>,
    put_off: u64,
    refusals: Vec<String>,
}

/// Clients that each send the ticks of a symbol of their own.
struct Feeds {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    clients: JoinSet<Sent>,
}

impl Feeds {
    /// Numbers their requests from `first` on.
    fn start(client: &Client, first: u64) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut clients = JoinSet::new();
        for nth in 0..CLIENTS {
            let symbol = symbol(nth);
            let (client, stop, acknowledged) = (client.clone(), stop.clone(), acknowledged.clone());
            clients.spawn(async move {
                let (mut sent, mut number) = (Sent { client: nth, ..Sent::default() }, first);
                while !stop.load(Ordering::Relaxed) {
                    match client.post_to_api("ticks", &CSV, request(&symbol, number)).await {
                        Ok(answer) if answer.status == 200 => {
                            sent.acknowledged.insert(number);
                            acknowledged.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(answer) => {
                            sent.unclear.insert(number);
                            if [429, 503].contains(&answer.status) && answer.header("retry-after").is_some() {
                                sent.put_off += 1;
                            } else {
                                sent.refusals.push(format!("{}: {}", answer.status, answer.text()));
                            }
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                        Err(_) => {
                            sent.unclear.insert(number);
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                    }
                    number += 1;
                }
                sent
            });
        }
        Self { stop, acknowledged, clients }
    }

    /// Waits until another `requests` are acknowledged.
    async fn wait_for(&self, requests: u64) -> Result<()> {
        let goal = self.acknowledged.load(Ordering::Relaxed) + requests;
        let begun = Instant::now();
        while self.acknowledged.load(Ordering::Relaxed) < goal {
            ensure!(begun.elapsed() < PATIENCE, "{requests} more requests were not acknowledged");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// What became of the requests of each.
    async fn stop(self) -> Vec<Sent> {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.join_all().await
    }
}

fn symbol(client: u64) -> String {
    format!("PAIR{client}")
}

/// Each tick that is stored of a symbol, by its seq; fails where one is there twice.
async fn stored(client: &Client, symbol: &str) -> Result<BTreeSet<u64>> {
    let answer = client.get(&format!("/api/v1/ticks/export?symbol={symbol}&format=csv")).await?;
    ensure!(answer.status == 200, "the export answered {}: {}", answer.status, answer.text());
    let text = answer.text();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let column = header.iter().position(|name| *name == "seq").context("a column seq")?;
    let mut seqs = BTreeSet::new();
    for line in lines {
        let seq = line.split(',').nth(column).context("a seq")?.parse()?;
        ensure!(seqs.insert(seq), "tick {seq} of {symbol} is there twice");
    }
    let count = client.api(&format!("ticks/count?symbol={symbol}")).await?;
    ensure!(count["count"] == seqs.len(), "{count} counted, {} exported", seqs.len());
    Ok(seqs)
}

/// Every acknowledged tick is there, and none that nobody sent.
async fn check(client: &Client, all: &[Sent]) -> Result<()> {
    for nth in 0..CLIENTS {
        let name = symbol(nth);
        let stored = stored(client, &name).await?;
        let ticks = |requests: &BTreeSet<u64>| -> BTreeSet<u64> {
            requests.iter().flat_map(|number| number * BATCH..(number + 1) * BATCH).collect()
        };
        let mut known = BTreeSet::new();
        for sent in all.iter().filter(|sent| sent.client == nth) {
            let lost: Vec<u64> = ticks(&sent.acknowledged).difference(&stored).copied().collect();
            ensure!(lost.is_empty(), "{name}: {} acknowledged ticks are lost, the first is {}", lost.len(), lost[0]);
            known.extend(ticks(&sent.acknowledged));
            known.extend(ticks(&sent.unclear));
        }
        ensure!(stored.is_subset(&known), "{name} has ticks that nobody sent");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_in_a_flush_of_ticks_at_midnight_keeps_what_was_acknowledged() -> Result<()> {
    const APART: u64 = 1_000_000;
    let setup = Setup::new()?;
    let mut all = Vec::new();
    for round in 0..3 {
        let server = setup.start().await?;
        let feeds = Feeds::start(&server, round * APART);
        feeds.wait_for(100).await?;
        server.kill().await?;
        all.extend(feeds.stop().await);
    }
    let server = setup.start().await?;
    check(&server, &all).await?;
    let days = server.list("ticks/segments").await?;
    assert_eq!(days.len(), 2, "{days:?}");
    server.stop().await?;
    for day in ["01", "02"] {
        check_integrity(&setup.data_dir().join(format!("ticks/2026/03/ticks_2026-03-{day}.db")))?;
    }
    check_integrity(&setup.database())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_in_a_flush_of_ticks_is_told_to_clients_and_heals_by_itself() -> Result<()> {
    let disk = SmallDisk::new(256)?;
    let setup = Setup::new()?.data_in(disk.path()).with("QUEUE_MAX_WAIT", "200ms");
    let server = setup.start().await?;
    let feeds = Feeds::start(&server, 0);
    feeds.wait_for(20).await?;
    disk.fill()?;
    wait_for_status(&server, 503).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    disk.free()?;
    wait_for_status(&server, 200).await?;
    feeds.wait_for(20).await?;
    let sent = feeds.stop().await;
    assert!(sent.iter().all(|sent| sent.refusals.is_empty()), "{sent:?}");
    check(&server, &sent).await?;
    server.stop().await
}

async fn wait_for_status(client: &Client, status: u16) -> Result<()> {
    let begun = Instant::now();
    while client.get("/api/v1/ready").await?.status != status {
        if begun.elapsed() > PATIENCE {
            bail!("the server did not become {status} on /api/v1/ready");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_in_a_seal_is_one_sentence_and_costs_nothing() -> Result<()> {
    const TICKS: u64 = 200_000;
    const ROOM_BYTES: usize = 300 << 10;
    let disk = SmallDisk::new(64)?;
    let setup = Setup::new()?.data_in(disk.path());
    let server = setup.start().await?;
    let answer = server.post_to_api("ticks", &CSV, csv("PAIR0", 0..TICKS)).await?;
    ensure!(answer.status == 200, "{}", answer.text());
    server.stop().await?;
    let seal = || -> Result<Command> {
        let mut command = Command::new(tallybook()?);
        command.args(["seal", "--day", "2026-03-01"]).env_clear().env("DATA_DIR", disk.path()).kill_on_drop(true);
        Ok(command)
    };
    // What is left suffices to open the store, and not for the sealed day.
    let room = disk.path().join("room");
    std::fs::write(&room, vec![0; ROOM_BYTES])?;
    disk.fill()?;
    std::fs::remove_file(room)?;
    let refused = format!("{:#}", run(seal()?).await.expect_err("there is no room"));
    assert!(refused.contains("full") || refused.contains("No space left"), "{refused}");
    disk.free()?;
    let server = setup.start().await?;
    assert_eq!(stored(&server, "PAIR0").await?.len() as u64, TICKS);
    server.stop().await?;

    assert!(run(seal()?).await?.contains("sealed"));
    let server = setup.start().await?;
    assert_eq!(stored(&server, "PAIR0").await?.len() as u64, TICKS);
    let days = server.list("ticks/segments").await?;
    assert_eq!(days.iter().filter(|day| day["sealed"] == true).count(), 1, "{days:?}");
    server.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_in_any_step_of_a_seal_or_its_way_back_leaves_each_tick_once() -> Result<()> {
    const TICKS: u64 = 20_000;
    /// Shorter than any step.
    const STEP: Duration = Duration::from_millis(4);
    let setup = Setup::new()?;
    let server = setup.start().await?;
    let answer = server.post_to_api("ticks", &CSV, csv("PAIR0", 0..TICKS)).await?;
    ensure!(answer.status == 200, "{}", answer.text());
    server.stop().await?;
    let folder = setup.data_dir().join("ticks/2026/03");
    let database = folder.join("ticks_2026-03-01.db");
    let mut kills = 0;
    for arguments in [&["seal", "--day", "2026-03-01"][..], &["unseal", "2026-03-01"]] {
        let mut delay = Duration::ZERO;
        loop {
            let mut child = setup.command(arguments)?.stdout(Stdio::null()).spawn()?;
            tokio::time::sleep(delay).await;
            // On a slow machine, steps are longer.
            delay += STEP.max(delay / 16);
            if child.try_wait()?.is_some_and(|status| status.success()) {
                break;
            }
            child.kill().await?;
            kills += 1;
            ensure!(delay < PATIENCE, "it does not end");
        }
        let is_sealed = arguments[0] == "seal";
        assert_eq!(database.exists(), !is_sealed, "{arguments:?}");
        // What was cut off is gone with the next start.
        let exported = setup.run(&["export", "ticks", "--symbol", "PAIR0"]).await?.ended_with(0)?;
        let seqs: BTreeSet<&str> = exported.lines().skip(1).filter_map(|line| line.split(',').nth(2)).collect();
        assert_eq!((exported.lines().count() as u64, seqs.len() as u64), (TICKS + 1, TICKS), "{arguments:?}");
        let left: Vec<_> = std::fs::read_dir(&folder)?.map(|file| Ok(file?.file_name())).collect::<Result<_>>()?;
        assert!(left.iter().all(|name| !name.to_string_lossy().contains("ing")), "{left:?}");
    }
    assert!(kills > 20, "only {kills} kills");
    check_integrity(&database)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_that_cannot_be_opened_stops_no_other_and_its_ticks_are_dead_letters() -> Result<()> {
    let setup = Setup::new()?;
    let (folder, away) = (setup.data_dir().join("ticks/2026/03"), setup.home().join("away.db"));
    let server = setup.start().await?;
    let answer = server.post_to_api("ticks", &CSV, request("PAIR0", 0)).await?;
    ensure!(answer.status == 200, "{}", answer.text());
    server.stop().await?;
    // Kept on another disk, which is not there.
    let day = folder.join("ticks_2026-03-01.db");
    std::fs::rename(&day, &away)?;
    std::os::unix::fs::symlink(setup.home().join("unplugged/away.db"), &day)?;

    let server = setup.start().await?;
    assert!(server.log()?.contains("a day of ticks is left out until its files are mended"), "{}", server.log()?);
    let answer = server.post_to_api("ticks", &CSV, request("PAIR0", 1)).await?.json()?;
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&(BATCH / 2).into(), &(BATCH / 2).into()), "{answer}");
    let letters = server.list("dead-letters").await?;
    assert_eq!(letters.len() as u64, BATCH / 2);
    let why = letters[0]["error"].as_str().unwrap_or_default();
    assert!(why.contains("2026-03-01 could not be used when the store was opened"), "{why}");
    let both = server.api("ticks/count?symbol=PAIR0&from=2026-03-02T00:00:00Z").await?;
    assert_eq!(both["count"], BATCH, "both halves of the other day");
    let days = server.list("ticks/segments?order=asc").await?;
    assert!(days[0]["error"].as_str().is_some_and(|error| error.contains("ticks_2026-03-01.db")), "{days:?}");
    assert_eq!(days[1]["error"], serde_json::Value::Null);
    assert_eq!(server.list("symbols").await?[0]["total"], BATCH);
    let unread = server.get("/api/v1/ticks?symbol=PAIR0").await?;
    assert!(unread.status == 500 && unread.text().contains("ticks of 2026-03-01"), "{}", unread.text());
    let exported = setup.run(&["export", "ticks"]).await?;
    assert!(exported.code == Some(1) && exported.err.contains("ticks_2026-03-01.db"), "{}", exported.err);
    server.stop().await?;

    std::fs::rename(&away, &day)?;
    let server = setup.start().await?;
    assert_eq!(stored(&server, "PAIR0").await?.len() as u64, BATCH + BATCH / 2, "what it held is there again");
    server.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_line_in_a_million_is_a_dead_letter_with_its_number_and_the_rest_is_in() -> Result<()> {
    const LINES: usize = 1_000_000;
    const BAD: usize = 700_001;
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(b"symbol,timestamp,bid,ask\n")?;
    for line in 2..=LINES {
        let bid = if line == BAD { "NaN" } else { "1.08500" };
        writeln!(packed, "EURUSD,{},{bid},1.08512", 1_700_000_000_000_000 + line)?;
    }
    let setup = Setup::new()?;
    let server = setup.start().await?;
    let headers = [CSV[0], ("content-encoding", "gzip"), ("idempotency-key", "million")];
    let body = packed.finish()?;
    let answer = server.post_to_api("ticks", &headers, body.clone()).await?.json()?;
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&(LINES - 2).into(), &1.into()), "{answer}");
    assert_eq!(answer["errors"][0]["line"], BAD);
    assert_eq!(server.api("ticks/count?symbol=EURUSD").await?["count"], LINES - 2);
    // The same request again, as a client does that was not answered.
    let again = server.post_to_api("ticks", &headers, body).await?.json()?;
    assert_eq!((&again["accepted"], &again["duplicate"]), (&0.into(), &(LINES - 2).into()), "{again}");
    assert_eq!(server.api("ticks/count?symbol=EURUSD").await?["count"], LINES - 2);
    let letters = server.list("dead-letters").await?;
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert!(
        letters[0]["error"].as_str().is_some_and(|error| error.starts_with("line 700001 of the request `million`: ")),
        "{letters:?}"
    );
    server.stop().await
}

#[tokio::test]
async fn hostile_symbols_and_absurd_prices_are_texts_and_numbers_or_dead_letters() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    let ticks = serde_json::json!([
        { "symbol": "../../x", "timestamp": "2026-03-01T00:00:00Z", "bid": "1" },
        { "symbol": "'; DROP TABLE tick; --", "timestamp": "2026-03-01T00:00:00Z", "ask": "-1e2" },
        { "symbol": "A", "timestamp": "2026-03-01T00:00:00Z", "bid": "NaN" },
        { "symbol": "A", "timestamp": "2026-03-01T00:00:00Z", "bid": "inf" },
        { "symbol": "A", "timestamp": "2026-03-01T00:00:00Z", "bid": "-Infinity" },
        { "symbol": "A", "timestamp": "2026-03-01T00:00:00Z", "bid": "1e999" },
        { "symbol": "A", "timestamp": "2026-03-01T00:00:00Z", "bid": "-99999999999999999", "ask": "0.000000000000000001" },
    ]);
    let headers = [("content-type", "application/json")];
    let answer = server.post_to_api("ticks", &headers, ticks.to_string()).await?.json()?;
    assert_eq!((&answer["accepted"], &answer["rejected"]), (&3.into(), &4.into()), "{answer}");
    let symbols: Vec<String> =
        server.list("symbols").await?.iter().filter_map(|item| item["symbol"].as_str().map(str::to_owned)).collect();
    assert_eq!(symbols, ["'; DROP TABLE tick; --", "../../x", "A"]);
    let tick = &server.api("ticks?symbol=A").await?["data"][0];
    assert_eq!((&tick["bid"], &tick["ask"]), (&"-99999999999999999".into(), &"0.000000000000000001".into()));
    let months = std::fs::read_dir(setup.data_dir().join("ticks"))?.count();
    assert_eq!(months, 1, "a symbol names no file");
    server.stop().await
}

#[tokio::test]
async fn a_dry_run_says_what_is_removed_and_removes_nothing() -> Result<()> {
    let setup = Setup::new()?.with("KEEP_TICKS", "30d");
    let server = setup.start().await?;
    let answer = server.post_to_api("ticks", &CSV, request("PAIR0", 0)).await?;
    ensure!(answer.status == 200, "{}", answer.text());
    let next = server.api("retention").await?;
    assert_eq!(next["remove"].as_array().map(Vec::len), Some(2), "{next}");
    server.stop().await?;
    let prune = async |arguments: &[&str]| -> Result<serde_json::Value> {
        let mut command = Command::new(tallybook()?);
        command.arg("prune").args(arguments).arg("--json").env_clear().env("DATA_DIR", setup.data_dir());
        Ok(serde_json::from_str(&run(command).await?)?)
    };
    assert_eq!(prune(&["--dry-run"]).await?["days"], serde_json::json!([]), "ticks are kept unless told otherwise");
    let months = ["--keep-ticks", "30d"];
    let said = prune(&[&months[..], &["--dry-run"]].concat()).await?;
    assert_eq!((&said["days"][1]["day"], &said["days"][1]["ticks"]), (&"2026-03-02".into(), &(BATCH / 2).into()));
    assert_eq!(prune(&months).await?["days"], said["days"]);
    assert_eq!(prune(&months).await?["days"], serde_json::json!([]));
    Ok(())
}
