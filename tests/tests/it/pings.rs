//! Pings with the real binary: measured and recorded by hand, taken and summed up by a server that is killed, and told of.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tallybook_tests::PATIENCE;
use tallybook_tests::setup::Setup;
use tallybook_tests::tools::{check_integrity, sqlite3, tallybook};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio::process::Command;

const NDJSON: [(&str, &str); 1] = [("content-type", "application/x-ndjson")];
/// Pings in a request.
const BATCH: u64 = 200;

/// The pings of the n-th request, one a second; each fifth is lost.
fn request(number: u64) -> String {
    let mut text = String::new();
    for at in number * BATCH..(number + 1) * BATCH {
        let second = 1_767_225_600 + at;
        let latency = if at % 5 == 0 { "null".to_owned() } else { format!("{}.25", 1 + at % 40) };
        let _ = writeln!(text, r#"{{"target":"db","timestamp":{second},"latency_ms":{latency},"sequence":{at}}}"#);
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_in_a_flush_of_pings_keeps_what_was_acknowledged_and_the_sums_are_of_what_is_kept() -> Result<()> {
    let setup = Setup::new()?;
    let (mut acknowledged, mut number) = (BTreeSet::new(), 0);
    for _ in 0..3 {
        let server = setup.start().await?;
        let client = server.client();
        let from = number;
        let feed = tokio::spawn(async move {
            let (mut known, mut number) = (BTreeSet::new(), from);
            while let Ok(answer) = client.post_to_api("pings", &NDJSON, request(number)).await {
                if answer.status == 200 {
                    known.insert(number);
                }
                number += 1;
            }
            (known, number + 1)
        });
        let begun = Instant::now();
        while server.api("stats").await?["families"]["ping"]["stored"].as_u64() < Some(30 * BATCH) {
            ensure!(begun.elapsed() < PATIENCE, "the pings are not stored");
        }
        server.kill().await?;
        let (known, next) = feed.await?;
        acknowledged.extend(known);
        number = next;
    }
    let server = setup.start().await?;
    let exported = server.get("/api/v1/pings/export?target=db&format=ndjson").await?.text();
    let pings: Vec<Value> = exported.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let sequences: BTreeSet<u64> = pings.iter().filter_map(|ping| ping["sequence"].as_u64()).collect();
    assert_eq!(sequences.len(), pings.len());
    for number in acknowledged {
        let lost = (number * BATCH..(number + 1) * BATCH).find(|sequence| !sequences.contains(sequence));
        assert_eq!(lost, None, "a ping of the acknowledged request {number}");
    }
    let lost = pings.iter().filter(|ping| ping["success"] == false).count();
    let range = "from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z";
    let summary = server.api(&format!("targets/db/summary?{range}")).await?;
    assert_eq!((&summary["count"], &summary["lost"]), (&json!(pings.len()), &json!(lost)), "{summary}");
    server.stop().await?;
    let sums = "SELECT resolution, sum(count) AS count, sum(lost) AS lost FROM ping_rollups GROUP BY resolution";
    for row in sqlite3(&setup.database(), sums)? {
        assert_eq!((&row["count"], &row["lost"]), (&json!(pings.len()), &json!(lost)), "{row}");
    }
    check_integrity(&setup.database())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_pings_go_as_a_dry_run_said_and_what_they_come_to_by_day_stays() -> Result<()> {
    let setup = Setup::new()?;
    let now = jiff::Timestamp::now();
    let mut text = String::from("target,timestamp,latency_ms\n");
    // Two minutes of each day, one of which is years ago.
    for (start, count) in [(1_577_836_800, 120), (now.as_second() - 3_600, 120)] {
        for second in start..start + count {
            let _ = writeln!(text, "db,{second},{}", if second % 4 == 0 { "" } else { "2.5" });
        }
    }
    std::fs::write(setup.home().join("pings.csv"), text)?;
    setup.run(&["import", "pings", "pings.csv"]).await?.ended_with(0)?;
    let gone = async |arguments: &[&str]| -> Result<Vec<Value>> {
        let pruned = setup.run(&[&["prune", "--json"], arguments].concat()).await?.json(0)?;
        let rows = pruned["rows"].as_array().context("no rows")?;
        let of = |row: &Value| json!([row["table"], row["of"], row["rows"]]);
        Ok(rows.iter().filter(|row| row["rows"] != 0).map(of).collect())
    };
    let expected = [json!(["ping", null, 120]), json!(["ping_bucket", "minute", 2]), json!(["ping_bucket", "hour", 1])];
    assert_eq!(gone(&["--dry-run"]).await?, expected);
    let count = || sqlite3(&setup.database(), "SELECT count(*) AS n FROM pings");
    assert_eq!(count()?[0]["n"], 240, "a dry run removes nothing");
    assert_eq!(gone(&[]).await?, expected, "as the dry run said");
    assert_eq!(gone(&[]).await?, Vec::<Value>::new());
    assert_eq!(count()?[0]["n"], 120);
    let server = setup.start().await?;
    let summary = server.api("targets/db/summary?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z").await?;
    assert_eq!((&summary["count"], &summary["lost"], &summary["p95_ms"]), (&json!(120), &json!(30), &json!(2.5)));
    let series = server.api("pings?target=db&resolution=1d&to=2020-01-02T00:00:00Z").await?;
    assert_eq!((&series["total"], &series["data"][0]["count"]), (&json!(1), &json!(120)));
    server.stop().await
}

/// An HTTP server that answers everything with 204, and its port.
async fn answering() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // Who only connects sends nothing.
                if stream.read(&mut [0; 1_024]).await.is_ok_and(|length| length > 0) {
                    let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
                }
            });
        }
    });
    Ok(port)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_are_measured_shown_and_recorded_without_a_server_and_beside_one() -> Result<()> {
    let port = answering().await?;
    let (port, url) = (port.to_string(), format!("http://127.0.0.1:{port}/"));
    let arguments =
        ["ping", "127.0.0.1", "--tcp", &port, "--http", &url, "--count", "3", "--interval", "20ms", "--timeout", "30s"];
    let setup = Setup::new()?;
    let said = setup.run(&arguments).await?.ended_with(0)?;
    assert!(said.contains(&format!("answer from tcp://127.0.0.1:{port}: seq=3 time=")), "{said}");
    assert!(said.contains(&format!("--- {url} ---\n3 sent, 3 answered, 0.0 % lost\n")), "{said}");
    let recorded = |times: u64| -> Result<()> {
        let sql = "SELECT target, count(*) AS pings, min(latency_ms) > 0 AS measured FROM pings GROUP BY target";
        let row = |target: &str| json!({"target": target, "pings": times, "measured": 1});
        let expected = [row(&url), row(&format!("tcp://127.0.0.1:{port}"))];
        assert_eq!(sqlite3(&setup.database(), sql)?, expected);
        Ok(())
    };
    recorded(3)?;
    setup.run(&[&arguments[..], &["--no-record"]].concat()).await?.ended_with(0)?;
    recorded(3)?;
    let server = setup.start().await?;
    let said = setup.run(&[&arguments[..], &["--json"]].concat()).await?.ended_with(0)?;
    let lines: Vec<Value> = said.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!((lines.len(), &lines[0]["success"]), (6, &json!(true)), "{said}");
    assert_eq!(server.list("targets").await?.len(), 2);
    server.stop().await?;
    recorded(6)?;
    // Nobody answers: that is the exit code, and a recorded ping.
    let closed = TcpSocket::new_v4()?;
    closed.bind("127.0.0.1:0".parse()?)?;
    let target = format!("tcp://{}", closed.local_addr()?);
    let said = setup.run(&["ping", &target, "--count", "1"]).await?.ended_with(1)?;
    assert!(said.contains("1 sent, 0 answered, 100.0 % lost"), "{said}");
    let lost = sqlite3(&setup.database(), "SELECT latency_ms, success FROM pings WHERE latency_ms IS NULL")?;
    assert_eq!(lost, [json!({"latency_ms": null, "success": 0})]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_gets_a_table_that_renews_itself() -> Result<()> {
    let (setup, port) = (Setup::new()?, answering().await?);
    let ping = format!(
        "{} ping tcp://127.0.0.1:{port} --count 8 --interval 100ms --timeout 30s --no-record",
        tallybook()?.display()
    );
    // Makes a terminal for it.
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &ping, "/dev/null"]).current_dir(setup.home());
    let output = command.env("TERM", "xterm").stdin(Stdio::null()).kill_on_drop(true).output().await?;
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}");
    for part in ["p95", "jitter", "not recorded · Ctrl-C ends", "\u{1b}[6A", "8 sent, 8 answered, 0.0 % lost"] {
        assert!(shown.contains(part), "{part:?} is not in {shown:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_icmp_socket_is_allowed_one_sentence_says_what_allows_it() -> Result<()> {
    let groups = std::fs::read_to_string("/proc/sys/net/ipv4/ping_group_range")?;
    let groups: Vec<u32> = groups.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let is_open = groups[0] <= groups[1];
    let setup = Setup::new()?;
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-net_raw", "--inh-caps=-net_raw", "--"]).arg(tallybook()?);
    command.args(["ping", "127.0.0.1", "--count", "1", "--no-record"]).current_dir(setup.home()).env_clear();
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
    let said = String::from_utf8_lossy(&output.stderr);
    if is_open {
        assert!(output.status.success(), "everybody may ping here: {said}");
        return Ok(());
    }
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    for part in ["may not send ICMP", "net.ipv4.ping_group_range", "setcap cap_net_raw+ep", "TCP port or a URL"] {
        assert!(said.contains(part), "{said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_is_in_the_log_when_it_begins_and_when_it_is_over() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    let rules = json!({"rules": [{"name": "nobody home", "when": "down", "for_seconds": 1}]});
    let url = format!("http://{}/api/v1/alerts/rules", server.addresses.api);
    let set = reqwest::Client::new().put(url).json(&rules).send().await?;
    ensure!(set.status() == 200, "{}", set.text().await?);
    let ping = async |latency: &str| -> Result<()> {
        let now = jiff::Timestamp::now();
        let body = format!(r#"{{"target":"db","timestamp":"{now}","latency_ms":{latency}}}"#);
        let answer = server.post_to_api("pings", &NDJSON, body).await?;
        ensure!(answer.status == 200, "{}", answer.text());
        Ok(())
    };
    let heard = async |words: &str| -> Result<()> {
        let begun = Instant::now();
        while !server.log()?.contains(words) {
            ensure!(begun.elapsed() < PATIENCE, "`{words}` is not in the log:\n{}", server.log()?);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    };
    ping("null").await?;
    heard("alert: db does not answer (since ").await?;
    ping("1.5").await?;
    heard("alert over: db answers again (since ").await?;
    let told = server.log()?.lines().filter(|line| line.contains("rule `nobody home`")).count();
    assert_eq!(told, 2, "once each: {}", server.log().context("the log")?);
    server.stop().await
}
