//! What pings come to: targets, summaries, series, outages, heat maps, files.

use serde_json::{Value, json};
use tallybook_core::{Ack, Batch, BatchId, Ping, Records, SourceId, Timestamp};

use crate::running::{Running, Setup};
use crate::stores::Watched;

const SECOND: i64 = 1_000_000_000;
/// A Monday at noon.
const NOON: i64 = 1_767_614_400 * SECOND;

/// One ping of a target every second from noon on; `x` is lost, a digit is answered in so many milliseconds.
fn pings(target: &str, text: &str) -> Vec<Ping> {
    let ping = |(second, sign): (i64, char)| {
        let latency = sign.to_digit(10).map(|ms| u64::from(ms) * 1_000_000);
        Ping { sequence: Some(second.unsigned_abs()), ..Ping::new(target, Timestamp(NOON + second * SECOND), latency) }
    };
    (0..).zip(text.chars()).map(ping).collect()
}

async fn put(server: &Running, pings: Vec<Ping>) {
    let id = BatchId { source: SourceId::mint(), seq: 1 };
    let records = Records { pings, ..Records::default() };
    server.store.commit(std::sync::Arc::new(Batch { id, ack: Ack::Written, records })).await.unwrap();
}

fn numbers(body: &Value, names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| body[name].clone()).collect()
}

#[tokio::test]
async fn a_summary_is_exact_from_its_first_to_its_last_moment() {
    let server = Running::start().await;
    put(&server, pings("a", &"1".repeat(70))).await;
    put(&server, pings("b", &"2x4x".repeat(50))).await;
    let summary = async |range: &str| server.ok(&format!("/api/v1/targets/b/summary?{range}")).await;
    let whole = summary("from=2026-01-05T12:00:00Z&to=2026-01-05T13:00:00Z").await;
    let found = numbers(
        &whole,
        &["count", "lost", "loss_percent", "uptime_percent", "min_ms", "avg_ms", "max_ms", "stddev_ms"],
    );
    assert_eq!(
        found,
        [json!(200), json!(100), json!(50.0), json!(50.0), json!(2.0), json!(3.0), json!(4.0), json!(1.0)]
    );
    let p95 = whole["p95_ms"].as_f64().unwrap();
    assert!((3.96..=4.0).contains(&p95), "{p95}");
    let part = summary("from=2026-01-05T12:00:01Z&to=2026-01-05T12:02:03Z").await;
    assert_eq!(numbers(&part, &["count", "lost"]), [json!(122), json!(61)]);
    let none = summary("from=2020-01-01T00:00:00Z&to=2021-01-01T00:00:00Z").await;
    assert_eq!(numbers(&none, &["count", "avg_ms", "uptime_percent"]), [json!(0), Value::Null, Value::Null]);
    assert_eq!(server.error("/api/v1/targets/nobody/summary").await, (404, "not_found".to_owned()));
}

#[tokio::test]
async fn targets_come_with_their_state_and_a_page_costs_the_same_reads_however_long_it_is() {
    let store = std::sync::Arc::new(Watched::default());
    let server = Setup::new().without_probes().store(store.clone()).start().await;
    for at in 0..20 {
        put(&server, pings(&format!("host-{at:02}"), if at % 2 == 0 { "11x" } else { "x1" })).await;
    }
    put(&server, pings("https://shop.example/", "1")).await;
    let range = "from=2026-01-05T00:00:00Z&to=2026-01-06T06:30:00Z";
    let reads = async |limit: u32| {
        let before = store.reads();
        let page = server.ok(&format!("/api/v1/targets?{range}&limit={limit}")).await;
        (store.reads() - before, page)
    };
    let ((few, _), (many, page)) = (reads(1).await, reads(1000).await);
    assert_eq!((few, page["total"].as_u64()), (many, Some(21)));
    let [even, odd] = [&page["data"][0], &page["data"][1]];
    assert_eq!(numbers(even, &["target", "state"]), [json!("host-00"), json!("down")]);
    assert_eq!(
        numbers(odd, &["state", "last_lost", "last_answered"]),
        [json!("up"), json!("2026-01-05T12:00:00Z"), json!("2026-01-05T12:00:01Z")]
    );
    assert_eq!(numbers(&even["summary"], &["count", "lost"]), [json!(3), json!(1)]);
    let shop = server.ok(&format!("/api/v1/targets/https%3A%2F%2Fshop.example%2F/summary?{range}")).await;
    assert_eq!(shop["count"], 1);
    let last = server.ok("/api/v1/targets?sort=last_seen&contains=HOST-0&limit=1").await;
    assert_eq!((&last["total"], &last["data"][0]["summary"]["count"]), (&json!(10), &json!(0)));
}

#[tokio::test]
async fn a_target_whose_latest_ping_was_corrected_is_in_the_state_of_the_correction() {
    let server = Running::start().await;
    put(&server, pings("a", "111")).await;
    // At the time of the latest one of `a`, `b` has one of its own.
    put(&server, pings("b", "1111")).await;
    for (latest, a, b) in [("11x", "down", "up"), ("112", "up", "up"), ("11x", "down", "up")] {
        put(&server, pings("a", latest)).await;
        put(&server, pings("b", &format!("11x{}", &latest[2..].replace('x', "2")))).await;
        let page = server.ok("/api/v1/targets").await;
        let states = [&page["data"][0]["state"], &page["data"][1]["state"]];
        assert_eq!(states, [a, b], "{latest}");
    }
}

#[tokio::test]
async fn a_series_is_single_pings_or_buckets_and_pages_follow_each_other() {
    let server = Running::start().await;
    put(&server, pings("a", &"12x".repeat(60))).await;
    put(&server, pings("b", "1")).await;
    let minutes = server.ok("/api/v1/pings?target=a&resolution=1m").await;
    assert_eq!((&minutes["total"], &minutes["data"][1]["timestamp"]), (&json!(3), &json!("2026-01-05T12:01:00Z")));
    let bucket = numbers(&minutes["data"][0], &["resolution", "count", "lost", "avg_ms"]);
    assert_eq!(bucket, [json!("1m"), json!(60), json!(20), json!(1.5)]);
    let day = server.ok("/api/v1/pings?target=a&from=2025-01-01T00:00:00Z&to=2026-06-01T00:00:00Z").await;
    assert_eq!(numbers(&day["data"][0], &["resolution", "count"]), [json!("1d"), json!(180)]);
    let range = "target=a&from=2026-01-05T12:00:01Z&to=2026-01-05T12:00:08Z";
    for order in ["asc", "desc"] {
        let whole = server.ok(&format!("/api/v1/pings?{range}&order={order}")).await;
        assert_eq!((&whole["total"], whole["data"].as_array().unwrap().len()), (&json!(7), 7));
        let mut followed = Vec::new();
        let mut after = String::new();
        loop {
            let page = server.ok(&format!("/api/v1/pings?{range}&order={order}&limit=3{after}")).await;
            followed.extend(page["data"].as_array().unwrap().clone());
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(Value::from(followed), whole["data"]);
    }
    for query in ["", "target=a&resolution=5m", "target=a&from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z"] {
        assert_eq!(server.error(&format!("/api/v1/pings?{query}")).await.0, 400, "{query}");
    }
}

#[tokio::test]
async fn outages_have_a_start_an_end_and_a_length() {
    let server = Running::start().await;
    let text = format!("{}{}1x1xx1{}", "1".repeat(50), "x".repeat(200), "x".repeat(5));
    put(&server, pings("a", &text)).await;
    let range = "from=2026-01-05T00:00:00Z&to=2026-01-06T00:00:00Z";
    let outages = server.ok(&format!("/api/v1/targets/a/outages?{range}")).await;
    let expected = json!([
        { "start": "2026-01-05T12:00:50Z", "end": "2026-01-05T12:04:10Z", "seconds": 200.0, "lost": 200 },
        { "start": "2026-01-05T12:04:16Z", "end": null, "seconds": null, "lost": 5 },
    ]);
    assert_eq!(outages["data"], expected);
    let all = server.ok(&format!("/api/v1/targets/a/outages?{range}&min_lost=1&limit=1&offset=1")).await;
    assert_eq!((&all["total"], &all["data"][0]["lost"]), (&json!(4), &json!(1)));
    assert_eq!(server.error("/api/v1/targets/a/outages?min_lost=0").await.0, 400);
}

#[tokio::test]
async fn a_heat_map_has_every_hour_of_the_week() {
    let server = Running::start().await;
    put(&server, pings("a", "13xx")).await;
    let cell = async |offset: i32, at: usize| {
        let range = "from=2026-01-05T00:00:00Z&to=2026-01-12T00:00:00Z";
        let map = server.ok(&format!("/api/v1/targets/a/heatmap?{range}&utc_offset_minutes={offset}")).await;
        assert_eq!(map["cells"].as_array().unwrap().len(), 168);
        map["cells"][at].clone()
    };
    let noon = cell(0, 12).await;
    let expected = json!({
        "weekday": 1, "hour": 12, "count": 4, "lost": 2, "loss_percent": 50.0, "avg_ms": 2.0, "max_ms": 3.0
    });
    assert_eq!(noon, expected);
    assert_eq!(cell(330, 17).await["count"], 4, "noon in London is half past five in Delhi");
    assert_eq!(cell(-780, 6 * 24 + 23).await["count"], 4, "and Sunday far in the west");
    assert_eq!(server.error("/api/v1/targets/a/heatmap?utc_offset_minutes=1000").await.0, 400);
}

#[tokio::test]
async fn an_export_is_read_back_as_it_was() {
    let server = Running::start().await;
    put(&server, pings("a", &"12x".repeat(30))).await;
    put(&server, pings("b", "1")).await;
    for (format, content_type) in [
        ("csv", "text/csv; charset=utf-8"),
        ("json", "application/json"),
        ("ndjson", "application/x-ndjson"),
        ("parquet", "application/vnd.apache.parquet"),
    ] {
        let path = format!("/api/v1/pings/export?target=a&format={format}");
        let response = server.client.get(server.api(&path)).send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (200, &content_type.parse().unwrap())
        );
        let file = response.bytes().await.unwrap();
        let other = Running::start().await;
        let request = other.client.post(other.api("/api/v1/pings")).header("content-type", content_type);
        let taken: Value = request.body(file).send().await.unwrap().json().await.unwrap();
        assert_eq!(taken["accepted"], 90, "{format}: {taken}");
        let path = "/api/v1/pings?target=a&limit=1000";
        let (ours, theirs) = (server.ok(path).await, other.ok(path).await);
        assert_eq!(ours["total"], theirs["total"]);
        for (ours, theirs) in ours["data"].as_array().unwrap().iter().zip(theirs["data"].as_array().unwrap()) {
            let shown = ["timestamp", "latency_ms", "success", "sequence"];
            assert_eq!(numbers(ours, &shown), numbers(theirs, &shown), "{format}");
        }
    }
    let all = server.client.get(server.api("/api/v1/pings/export")).send().await.unwrap().text().await.unwrap();
    assert_eq!(all.lines().count(), 1 + 91);
    let packed = server.client.get(server.api("/api/v1/pings/export")).header("accept-encoding", "zstd");
    let packed = packed.send().await.unwrap().bytes().await.unwrap();
    assert_eq!(zstd::decode_all(&packed[..]).unwrap(), all.as_bytes());
}
