//! Files into the store and back, with the real binary: every format, whatever happens on the way.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tallybook_tests::setup::Setup;
use tallybook_tests::tools::sqlite3;

/// 2026-11-02T23:59:59Z, in milliseconds: a second before midnight.
const START_MS: u64 = 1_793_663_999_000;

/// A tick of a feed that does not number them: three of each symbol share a time, two of them the same quote.
struct Quote {
    symbol: &'static str,
    time_ms: u64,
    bid: String,
    ask: String,
    lp: &'static str,
}

fn feed(count: u64) -> Vec<Quote> {
    let quote = |at: u64| {
        let step = at / 6 + at % 3 / 2;
        Quote {
            symbol: if at.is_multiple_of(2) { "EURUSD" } else { "XAUUSD" },
            time_ms: START_MS + at / 6,
            bid: format!("1.08{:02}0", step % 100),
            ask: format!("1.09{:02}5", step % 100),
            lp: if at.is_multiple_of(5) { "A" } else { "B" },
        }
    };
    (0..count).map(quote).collect()
}

fn csv(feed: &[Quote]) -> String {
    let mut text = String::from("symbol,timestamp,bid,ask,lp\n");
    for Quote { symbol, time_ms, bid, ask, lp } in feed {
        writeln!(text, "{symbol},{time_ms},{bid},{ask},{lp}").expect("a string takes everything");
    }
    text
}

fn object(Quote { symbol, time_ms, bid, ask, lp }: &Quote) -> String {
    format!(
        r#"{{"broker_id":"b1","symbol":"{symbol}","bid":{bid},"ask":{ask},"spread":0.01,"timestamp":{time_ms},"lp":"{lp}"}}"#
    )
}

fn json_array(feed: &[Quote]) -> String {
    format!("[{}]", feed.iter().map(object).collect::<Vec<_>>().join(",\n"))
}

fn ndjson(feed: &[Quote]) -> String {
    feed.iter().map(|quote| object(quote) + "\n").collect()
}

/// A daily file as other software writes it.
fn plain_database(path: &Path, feed: &[Quote]) -> Result<()> {
    let mut sql = String::from(
        "BEGIN; CREATE TABLE ticks (symbol TEXT, timestamp INTEGER, bid REAL, ask REAL, spread REAL, lp_source TEXT, \
         created_at TEXT DEFAULT CURRENT_TIMESTAMP);",
    );
    for Quote { symbol, time_ms, bid, ask, lp } in feed {
        write!(
            sql,
            "INSERT INTO ticks (symbol, timestamp, bid, ask, spread, lp_source) \
             VALUES ('{symbol}', {time_ms}, {bid}, {ask}, 0.01, '{lp}');"
        )?;
    }
    sql.push_str("COMMIT;");
    let mut child = Command::new("sqlite3").arg(path).stdin(std::process::Stdio::piped()).spawn()?;
    child.stdin.take().context("a pipe")?.write_all(sql.as_bytes())?;
    ensure!(child.wait()?.success(), "sqlite3 failed");
    Ok(())
}

fn gzip(text: &str) -> Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes())?;
    Ok(encoder.finish()?)
}

/// The report of an import that ended with this code; it must add up.
async fn import(setup: &Setup, code: i32, arguments: &[&str]) -> Result<Value> {
    let report = setup.run(&[&["import", "ticks", "--json"], arguments].concat()).await?.json(code)?;
    let count = |name: &str| report[name].as_u64().with_context(|| format!("no {name} in {report}"));
    let parts = ["skipped", "stored", "duplicate", "replaced", "rejected", "shed"];
    let sum = parts.into_iter().map(count).sum::<Result<u64>>()?;
    ensure!(sum == count("read")?, "the report does not add up: {report}");
    Ok(report)
}

fn counts(report: &Value) -> [u64; 3] {
    ["stored", "duplicate", "rejected"].map(|name| report[name].as_u64().unwrap_or(u64::MAX))
}

/// Ticks that the files of the store hold.
fn stored(setup: &Setup) -> Result<u64> {
    let mut count = 0;
    for day in ["2026-11-02", "2026-11-03"] {
        let path = setup.data_dir().join(format!("ticks/2026/11/ticks_{day}.db"));
        if path.exists() {
            count += sqlite3(&path, "SELECT count(*) AS n FROM ticks")?[0]["n"].as_u64().context("a number")?;
        }
    }
    Ok(count)
}

fn path(setup: &Setup, name: &str) -> PathBuf {
    setup.home().join(name)
}

#[tokio::test]
async fn the_same_feed_in_every_format_is_stored_once() -> Result<()> {
    let setup = Setup::new()?;
    let feed = feed(12_000);
    fs::write(path(&setup, "feed.json"), json_array(&feed))?;
    fs::write(path(&setup, "feed.ndjson.gz"), gzip(&ndjson(&feed))?)?;
    fs::write(path(&setup, "feed.csv.zst"), zstd::encode_all(csv(&feed).as_bytes(), 1)?)?;
    plain_database(&path(&setup, "feed.db"), &feed)?;

    let dry = setup.run(&["import", "ticks", "feed.json", "--dry-run", "--json"]).await?.json(0)?;
    assert_eq!((&dry["read"], &dry["stored"], &dry["found"]["names"]), (&json!(12_000), &json!(0), &json!(2)));
    assert!(!setup.data_dir().exists(), "nothing is stored");
    let first = import(&setup, 0, &["feed.json"]).await?;
    assert_eq!(counts(&first), [12_000, 0, 0]);
    for other in ["feed.json", "feed.ndjson.gz", "feed.csv.zst", "feed.db"] {
        assert_eq!(counts(&import(&setup, 0, &[other]).await?), [0, 12_000, 0], "{other}");
    }
    assert_eq!(stored(&setup)?, 12_000);
    for file in ["feed.json", "feed.ndjson.gz", "feed.csv.zst", "feed.db"] {
        let said = setup.run(&["verify", file]).await?.ended_with(0)?;
        assert!(said.contains("hold the same 12,000 records"), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_bad_line_is_a_dead_letter_with_its_file_and_number_once() -> Result<()> {
    let setup = Setup::new()?;
    let mut text = csv(&feed(100));
    text.push_str("EURUSD,1793664000000,oops,1.1,A\n");
    fs::write(path(&setup, "bad.csv"), text)?;
    for expected in [[100, 0, 1], [0, 100, 1]] {
        let report = import(&setup, 1, &["bad.csv"]).await?;
        assert_eq!(counts(&report), expected);
        assert_eq!(report["errors"][0]["place"], "bad.csv:102");
    }
    let letters = sqlite3(&setup.database(), "SELECT target, error, record FROM dead_letter")?;
    assert_eq!(
        letters,
        [json!({ "target": "tick", "error": "bad.csv:102: `bid` is not a decimal number: `oops`",
            "record": r#""EURUSD,1793664000000,oops,1.1,A""# })]
    );
    Ok(())
}

#[tokio::test]
async fn a_file_that_breaks_off_is_stored_as_far_as_it_goes() -> Result<()> {
    let setup = Setup::new()?;
    let text = json_array(&feed(1_000));
    fs::write(path(&setup, "cut.json"), &text[..text.len() - 20])?;
    let zipped = gzip(&ndjson(&feed(20_000)))?;
    fs::write(path(&setup, "cut.ndjson.gz"), &zipped[..zipped.len() / 2])?;
    fs::write(path(&setup, "wrong.csv"), "a,b\n1,2\n")?;
    let report = import(&setup, 1, &["cut.json", "wrong.csv", "cut.ndjson.gz"]).await?;
    let broken: Vec<&str> =
        report["broken_files"].as_array().context("a list")?.iter().filter_map(Value::as_str).collect();
    assert_eq!(broken.len(), 3, "{broken:?}");
    assert!(
        broken[0].starts_with("cut.json: ") && broken[0].contains("it ends within the array, behind 999 whole"),
        "{broken:?}"
    );
    assert!(broken[1].contains("there is no column `symbol`"), "{broken:?}");
    assert!(broken[2].starts_with("cut.ndjson.gz: it breaks off"), "{broken:?}");
    let [new, known, rejected] = counts(&report);
    assert!(new > 999 && known == 999 && rejected == 0, "{report}");
    Ok(())
}

#[tokio::test]
async fn an_import_that_is_killed_goes_on_where_it_was() -> Result<()> {
    let setup = Setup::new()?;
    let count = 400_000;
    fs::write(path(&setup, "feed.csv"), csv(&feed(count)))?;
    let mut child = setup.command(&["import", "ticks", "feed.csv"])?.stdout(std::process::Stdio::null()).spawn()?;
    let journal = setup.data_dir().join("imports");
    while fs::read_dir(&journal).map_or(true, |mut files| files.next().is_none()) {
        ensure!(child.try_wait()?.is_none(), "the import was over before it could be killed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().await?;
    let before = stored(&setup)?;
    ensure!(before > 0 && before < count, "killed at {before} of {count}");
    let report = import(&setup, 0, &["feed.csv"]).await?;
    assert_eq!(report["read"], count);
    assert!(report["skipped"].as_u64() > Some(0), "{report}");
    assert_eq!(stored(&setup)?, count);
    setup.run(&["verify", "feed.csv"]).await?.ended_with(0)?;
    assert!(fs::read_dir(&journal)?.next().is_none(), "a journal is left");
    Ok(())
}

#[tokio::test]
async fn a_folder_of_days_goes_out_and_comes_in_again_exactly() -> Result<()> {
    let (setup, other) = (Setup::new()?, Setup::new()?);
    let ndjson = r#"{"symbol":"a,\"b\"","timestamp":"2026-11-02T00:00:00.000000001Z","bid":"1.08500","seq":3,"lp":"x","volume":"1.50"}
{"symbol":"EURUSD","timestamp":"2026-11-02T00:00:00.5Z","bid":"1.08500","ask":"1.0851"}
{"symbol":"EURUSD","timestamp":"2026-11-02T00:00:00.5Z","bid":"1.08500","ask":"1.0851"}
{"symbol":"EURUSD","timestamp":"2026-11-03T10:00:00Z","ask":"0.000000000000000001","lp":"y"}
"#;
    fs::write(path(&setup, "feed.ndjson"), ndjson)?;
    assert_eq!(counts(&import(&setup, 0, &["feed.ndjson"]).await?), [4, 0, 0]);
    let all = setup.run(&["export", "ticks"]).await?.ended_with(0)?;
    assert_eq!(all.lines().count(), 5, "{all}");
    let folders: [&[&str]; 6] = [
        &["--format", "csv", "--compress", "gz"],
        &["--format", "ndjson", "--compress", "zst"],
        &["--format", "json"],
        &["--format", "parquet"],
        &["--format", "sqlite"],
        &["--format", "feed"],
    ];
    for format in folders {
        let folder = format!("{}/", path(&setup, format[1]).display());
        let export = [&["export", "ticks", "--to", folder.as_str(), "--json"], format].concat();
        let report = setup.run(&export).await?.json(0)?;
        assert_eq!((&report["records"], &report["files"]), (&json!(4), &json!(2)), "{format:?}");
        let again = setup.run(&export).await?.json(0)?;
        // Days that are over are not written again; these lie in the future or the past of whoever runs this.
        assert_eq!(again["files"].as_u64().unwrap_or(9) + again["skipped_days"].as_u64().unwrap_or(9), 2, "{format:?}");
        setup.run(&["verify", folder.as_str()]).await?.ended_with(0)?;
        assert_eq!(counts(&import(&setup, 0, &[folder.as_str()]).await?), [0, 4, 0], "{format:?} into the same store");

        let taken = import(&other, 0, &[folder.as_str()]).await?;
        if format[1] == "csv" {
            assert_eq!(counts(&taken), [4, 0, 0]);
            assert_eq!(other.run(&["export", "ticks"]).await?.ended_with(0)?, all);
        } else {
            assert_eq!(counts(&taken), [0, 4, 0], "{format:?} into a store that has it");
        }
    }
    let days: Vec<_> = fs::read_dir(path(&setup, "sqlite"))?.map(|day| Ok(day?.path())).collect::<Result<_>>()?;
    let plain: u64 = days
        .iter()
        .map(|day| {
            Ok(sqlite3(day, "SELECT symbol, timestamp, bid, ask, spread, lp_source, created_at FROM ticks")?.len()
                as u64)
        })
        .sum::<Result<u64>>()?;
    assert_eq!(plain, 4);
    Ok(())
}

#[tokio::test]
async fn verify_finds_a_changed_price_a_missing_and_an_additional_tick() -> Result<()> {
    let setup = Setup::new()?;
    let feed = feed(3_000);
    let text = csv(&feed);
    fs::write(path(&setup, "feed.csv"), &text)?;
    import(&setup, 0, &["feed.csv"]).await?;
    let lines: Vec<&str> = text.lines().collect();
    let file = |lines: &[&str]| fs::write(path(&setup, "other.csv"), lines.join("\n"));

    let changed_line = lines[1_000].replacen("1.08", "1.07", 1);
    let mut changed = lines.clone();
    changed[1_000] = &changed_line;
    file(&changed)?;
    let report = setup.run(&["verify", "other.csv", "--json"]).await?.json(1)?;
    assert_eq!(report["differences"].as_array().map(Vec::len), Some(1), "{report}");
    let sides: Vec<_> =
        report["first_records"].as_array().context("a list")?.iter().map(|one| &one["only_in"]).collect();
    assert_eq!(sides.len(), 2, "{report}");
    assert!(sides.contains(&&json!("files")) && sides.contains(&&json!("store")), "{report}");

    file(&[&lines[..1_000], &lines[1_001..]].concat())?;
    let said = setup.run(&["verify", "other.csv"]).await?.ended_with(1)?;
    assert!(
        said.contains("│ store") && said.contains("2,999 records in the files, 3,000 in the sqlite store"),
        "{said}"
    );

    file(&[&lines[..], &["NEW,1793663999000,1,2,A"]].concat())?;
    let said = setup.run(&["verify", "other.csv"]).await?.ended_with(1)?;
    assert!(said.contains("NEW") && said.contains("bid 1 ask 2 lp A"), "{said}");
    setup.run(&["verify", "other.csv", "--symbol", "EURUSD"]).await?.ended_with(0)?;
    setup.run(&["verify", "none.csv"]).await?.ended_with(2)?;
    Ok(())
}

#[tokio::test]
async fn beside_a_running_server_everything_goes_through_it() -> Result<()> {
    let setup = Setup::new()?.with("API_TOKEN", "s3cret");
    let server = setup.start().await?;
    let mut text = csv(&feed(30_000));
    // More than a server takes at a time.
    text.push_str(&"EURUSD,never,1,1.1,A\n".repeat(2_500));
    fs::write(path(&setup, "feed.csv"), text)?;
    assert!(setup.run(&["import", "ticks", "feed.csv"]).await?.err.contains("401"));
    let token = ["--token", "s3cret"];
    for expected in [[30_000, 0, 2_500], [0, 30_000, 2_500]] {
        let report = import(&setup, 1, &[&["feed.csv"], &token[..]].concat()).await?;
        assert_eq!(counts(&report), expected, "{report}");
    }
    let exported =
        setup.run(&[&["export", "ticks", "--symbol", "EURUSD"], &token[..]].concat()).await?.ended_with(0)?;
    assert_eq!(exported.lines().count(), 15_001);
    let verified = setup.run(&[&["verify", "feed.csv"], &token[..]].concat()).await?;
    assert_eq!(verified.code, Some(2), "a file with bad lines cannot be compared: {verified:?}");
    fs::write(path(&setup, "good.csv"), csv(&feed(30_000)))?;
    setup.run(&[&["verify", "good.csv"], &token[..]].concat()).await?.ended_with(0)?;
    server.stop().await?;
    let letters = sqlite3(&setup.database(), "SELECT error FROM dead_letter ORDER BY error")?;
    assert_eq!(letters.len(), 2_500);
    assert!(letters[0]["error"].as_str().is_some_and(|error| error.starts_with("feed.csv:30002: ")), "{}", letters[0]);
    Ok(())
}

#[tokio::test]
async fn pings_come_in_and_go_out_the_same_way() -> Result<()> {
    let setup = Setup::new()?;
    let text = "target,timestamp,latency_ms,success,ttl,error\na,1793663999,12.345678,true,64,\na,1793664001,,false,,timeout\n";
    fs::write(path(&setup, "pings.csv"), text)?;
    let report = setup.run(&["import", "pings", "pings.csv", "--json"]).await?.json(0)?;
    assert_eq!(counts(&report), [2, 0, 0]);
    let again = setup.run(&["import", "pings", "pings.csv", "--json"]).await?.json(0)?;
    assert_eq!(counts(&again), [0, 2, 0], "{again}");
    let out = path(&setup, "out/").display().to_string();
    let report = setup.run(&["export", "pings", "--to", &out, "--format", "ndjson", "--json"]).await?.json(0)?;
    assert_eq!((&report["records"], &report["files"]), (&json!(2), &json!(2)), "{report}");
    for files in ["pings.csv", &out] {
        setup.run(&["verify", files, "--family", "pings"]).await?.ended_with(0)?;
    }
    assert!(setup.run(&["export", "pings", "--format", "feed"]).await?.err.contains("pings are exported as"));
    Ok(())
}
