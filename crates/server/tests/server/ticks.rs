//! Ticks come in and are asked for: exactly as they were sent, once, by range, as bars and as downloads.

use reqwest::StatusCode;
use serde_json::{Value, json};
use tallybook_core::{DeadLetter, Family, Query, StoreExt};

use crate::export::compress;
use crate::running::{Answer, PATIENCE, Running, Setup};

const NDJSON: &str = r#"{"symbol": "EURUSD", "timestamp": "2026-01-02T03:04:05.000001Z", "bid": "1.08500", "ask": 1.0851, "lp": "A", "seq": 0}
{"symbol": "EURUSD", "timestamp": "2026-01-02T03:04:05.000001Z", "bid": "1.08501", "ask": "1.08512", "lp": "B", "seq": 1}
{"symbol": "EURUSD", "timestamp": "2026-01-02T03:05:00Z", "bid": "1.08490", "seq": 0}
"#;

async fn send(server: &Running, path: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Answer {
    let mut request = server.client.post(server.api(path)).body(body.into());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, body: response.json().await.unwrap() }
}

fn counts(answer: &Answer) -> [u64; 3] {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    ["accepted", "duplicate", "rejected"].map(|name| answer.body[name].as_u64().unwrap())
}

async fn with_ticks() -> Running {
    let server = Running::start().await;
    let answer = send(&server, "/api/v1/ticks", &[("content-type", "application/x-ndjson")], NDJSON).await;
    assert_eq!(counts(&answer), [3, 0, 0]);
    server
}

#[tokio::test]
async fn prices_come_back_as_they_were_sent_and_a_moment_may_hold_several_ticks() {
    let server = with_ticks().await;
    let page = server.ok("/api/v1/ticks?symbol=EURUSD").await;
    let column = |name: &str| page["data"].as_array().unwrap().iter().map(|t| t[name].clone()).collect::<Vec<Value>>();
    assert_eq!(column("bid"), ["1.08500", "1.08501", "1.08490"]);
    assert_eq!(column("ask"), [json!("1.0851"), json!("1.08512"), Value::Null]);
    assert_eq!(column("spread")[0], "0.00010");
    assert_eq!(column("timestamp")[0], "2026-01-02T03:04:05.000001Z");
    assert_eq!(column("flags")[2], json!(["one_sided"]));
    assert_eq!((&page["has_more"], &page["next"]), (&json!(false), &Value::Null));
}

#[tokio::test]
async fn pages_follow_each_other_in_both_directions() {
    let server = with_ticks().await;
    for (order, bids) in [("asc", ["1.08500", "1.08501", "1.08490"]), ("desc", ["1.08490", "1.08501", "1.08500"])] {
        let mut after = String::new();
        for (at, bid) in bids.into_iter().enumerate() {
            let page = server.ok(&format!("/api/v1/ticks?symbol=EURUSD&limit=1&order={order}{after}")).await;
            assert_eq!(page["data"][0]["bid"], bid, "{order} {at}");
            assert_eq!(page["has_more"], json!(at < 2));
            after = format!("&after={}", page["next"].as_str().unwrap_or_default());
        }
    }
    let recent = server.ok("/api/v1/ticks/recent?symbol=EURUSD&limit=2").await;
    assert_eq!(recent["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn bars_counts_and_symbols_are_made_of_the_ticks() {
    let server = with_ticks().await;
    let bars = server.ok("/api/v1/ohlc?symbol=EURUSD&timeframe=1m&price=bid").await;
    let bar = |at: usize| ["open", "high", "low", "close", "volume"].map(|name| bars["data"][at][name].clone());
    assert_eq!(bar(0), ["1.08500", "1.08501", "1.08500", "1.08501", "2"]);
    assert_eq!(bar(1), ["1.08490", "1.08490", "1.08490", "1.08490", "1"]);
    assert_eq!(bars["data"][0]["time"], "2026-01-02T03:04:00Z");
    let mids = server.ok("/api/v1/ohlc?symbol=EURUSD&timeframe=M1&from=2026-01-02T03:04:30Z").await;
    assert_eq!(mids["data"].as_array().unwrap().len(), 1, "the bar that holds `from`; the last has no middle");
    assert_eq!(mids["data"][0]["open"], "1.08505");
    assert_eq!(server.ok("/api/v1/ohlc?symbol=NONE&timeframe=1d").await["data"], json!([]));
    let count = "/api/v1/ticks/count?symbol=EURUSD&from=2026-01-02T03:04:06Z&to=2026-01-03T00:00:00Z";
    assert_eq!(server.ok(count).await["count"], 1);
    assert_eq!(server.ok("/api/v1/ticks/count?symbol=EURUSD").await["count"], 3);
    let symbols = server.ok("/api/v1/symbols").await;
    assert_eq!((&symbols["data"][0]["symbol"], &symbols["data"][0]["total"]), (&json!("EURUSD"), &json!(3)));
    let quality = server
        .ok("/api/v1/ticks/quality?symbol=EURUSD&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&min_gap_seconds=30")
        .await;
    assert_eq!((&quality["ticks"], &quality["one_sided"], &quality["gap_count"]), (&json!(3), &json!(1), &json!(1)));
    let segments = server.ok("/api/v1/ticks/segments").await;
    assert_eq!(segments["data"][0]["day"], "2026-01-02T00:00:00Z");
}

#[tokio::test]
async fn a_late_tick_is_in_its_bar_at_once_whatever_the_length_of_the_bar() {
    let server = with_ticks().await;
    let bar = async |query: &str| {
        let bars = server.ok(&format!("/api/v1/ohlc?symbol=EURUSD&price=bid&{query}")).await;
        ["time", "open", "high", "low", "close", "volume"].map(|name| bars["data"][0][name].clone())
    };
    let minute = "2026-01-02T03:04:00Z";
    assert_eq!(bar("timeframe=1m").await, [minute, "1.08500", "1.08501", "1.08500", "1.08501", "2"]);
    let late =
        "symbol,timestamp,bid,volume,seq\nEURUSD,2026-01-02T03:04:01Z,2,0.5,0\nEURUSD,2026-01-02T03:04:59Z,1,1.25,0\n";
    let answer = send(&server, "/api/v1/ticks", &[("content-type", "text/csv")], late).await;
    assert_eq!(counts(&answer), [2, 0, 0]);
    assert_eq!(bar("timeframe=1m").await, [minute, "2", "2", "1", "1", "4"]);
    assert_eq!(bar("timeframe=60&volume=sum").await, [minute, "2", "2", "1", "1", "1.75"]);
    for (timeframe, start) in
        [("H1", "2026-01-02T03:00:00Z"), ("4h", "2026-01-02T00:00:00Z"), ("1d", "2026-01-02T00:00:00Z")]
    {
        assert_eq!(bar(&format!("timeframe={timeframe}")).await, [start, "2", "2", "1", "1.08490", "5"], "{timeframe}");
    }
}

#[tokio::test]
async fn the_latest_ticks_come_from_memory_and_what_is_not_there_any_more_from_the_store() {
    let mut setup = Setup::new();
    setup.writer.ticks.ring_per_symbol = 2;
    let server = setup.start().await;
    let lines: Vec<String> = (0..5).map(|at| format!("A,{},1.{at}", 1_767_323_045 + at)).collect();
    let body = format!("symbol,timestamp,bid\n{}\n", lines.join("\n"));
    assert_eq!(counts(&send(&server, "/api/v1/ticks", &[("content-type", "text/csv")], body).await), [5, 0, 0]);
    for limit in [1, 2, 4, 10] {
        let recent = server.ok(&format!("/api/v1/ticks/recent?symbol=A&limit={limit}")).await;
        let bids: Vec<&str> =
            recent["data"].as_array().unwrap().iter().filter_map(|tick| tick["bid"].as_str()).collect();
        assert_eq!(bids, ["1.4", "1.3", "1.2", "1.1", "1.0"][..limit.min(5)]);
    }
}

#[tokio::test]
async fn the_same_request_sent_twice_under_a_key_is_stored_once() {
    let server = Running::start().await;
    let headers = [("content-type", "application/json"), ("idempotency-key", "batch 17"), ("content-encoding", "gzip")];
    let body = r#"[{"symbol": "X", "timestamp": 1767323045, "bid": 1.10, "ask": 1.20}]"#;
    let body = compress("gzip", body.as_bytes());
    assert_eq!(counts(&send(&server, "/api/v1/ticks", &headers, body.clone()).await), [1, 0, 0]);
    assert_eq!(counts(&send(&server, "/api/v1/ticks", &headers, body).await), [0, 1, 0]);
    let page = server.ok("/api/v1/ticks?symbol=X").await;
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    assert_eq!(page["data"][0]["bid"], "1.10");
    let accounting = server.writer.stats().families[&Family::Tick];
    assert_eq!((accounting.offered, accounting.stored, accounting.duplicate), (2, 1, 1));
}

#[tokio::test]
async fn a_bad_line_is_a_dead_letter_with_its_number_and_the_rest_is_in() {
    let server = Running::start().await;
    let body = "symbol,timestamp,bid,ask,volume\n../../x,1767323045,1.10,1.20,\n'; DROP,1767323045,NaN,1,\n\
                Y,1767323045,-1,1,\nZ,1767323045,1e300,1,\n";
    let answer = send(&server, "/api/v1/ticks", &[("content-type", "text/csv")], body).await;
    assert_eq!(counts(&answer), [2, 0, 2], "{}", answer.body);
    let lines: Vec<_> = answer.body["errors"].as_array().unwrap().iter().map(|error| error["line"].clone()).collect();
    assert_eq!(lines, [3, 5]);
    let letters = server.store.list_all::<DeadLetter>(Query::new(10)).await.unwrap();
    assert_eq!(letters.len(), 2);
    assert_eq!(server.ok("/api/v1/ticks?symbol=../../x").await["data"][0]["ask"], "1.20");
}

#[tokio::test]
async fn a_bad_line_of_a_request_that_is_sent_twice_under_a_key_is_one_dead_letter() {
    let server = Running::start().await;
    let headers = [("content-type", "text/csv"), ("idempotency-key", "batch 18")];
    let body = "symbol,timestamp,bid\nX,1767323045,1.10\nX,1767323046,oops\n";
    assert_eq!(counts(&send(&server, "/api/v1/ticks", &headers, body).await), [1, 0, 1]);
    assert_eq!(counts(&send(&server, "/api/v1/ticks", &headers, body).await), [0, 1, 1]);
    let letters = server.store.list_all::<DeadLetter>(Query::new(10)).await.unwrap();
    let errors: Vec<&str> = letters.iter().map(|letter| &*letter.error).collect();
    assert_eq!(errors, ["line 3 of the request `batch 18`: `bid` is not a decimal number: `oops`"]);
}

#[tokio::test]
async fn a_stream_is_stored_line_by_line_while_more_of_it_is_awaited() {
    let server = Running::start().await;
    let (sender, lines) = tokio::sync::mpsc::unbounded_channel::<&'static str>();
    let body = futures_util::stream::unfold(lines, async |mut lines| {
        Some((Ok::<_, std::io::Error>(lines.recv().await?), lines))
    });
    let url = server.api("/api/v1/ticks/stream");
    let request = server.client.post(url).header("content-type", "application/x-ndjson");
    let answer = tokio::spawn(request.body(reqwest::Body::wrap_stream(body)).send());
    for (sent, line) in (1..).zip(NDJSON.split_inclusive('\n')) {
        sender.send(line).unwrap();
        let stored = async {
            while server.ok("/api/v1/ticks/count?symbol=EURUSD").await["count"] != sent {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, stored).await.expect("a line is stored before the next one is sent");
    }
    // The rest of a line, and then the end.
    sender.send("{\"symbol\": \"EURUSD\", ").unwrap();
    sender.send("\"timestamp\": 1767323200, \"bid\": 1}").unwrap();
    drop(sender);
    let taken: Value = answer.await.unwrap().unwrap().json().await.unwrap();
    assert_eq!((&taken["accepted"], &taken["rejected"]), (&json!(4), &json!(0)), "{taken}");
}

#[tokio::test]
async fn a_download_holds_the_range_in_every_format() {
    let server = with_ticks().await;
    let download = async |format: &str| {
        let path = format!("/api/v1/ticks/export?symbol=EURUSD&format={format}");
        let response = server.client.get(server.api(&path)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.bytes().await.unwrap()
    };
    let json: Value = serde_json::from_slice(&download("json").await).unwrap();
    assert_eq!((json.as_array().unwrap().len(), &json[0]["bid"]), (3, &json!("1.08500")));
    let lines = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().trim().lines().count();
    assert_eq!((lines(&download("csv").await), lines(&download("ndjson").await)), (4, 3));
    assert!(download("parquet").await.ends_with(b"PAR1"));
}

#[tokio::test]
async fn a_download_that_broke_off_goes_on_behind_its_last_tick() {
    let server = with_ticks().await;
    let download = async |after: &str| {
        let path = format!("/api/v1/ticks/export?symbol=EURUSD&format=csv{after}");
        server.client.get(server.api(&path)).send().await.unwrap().text().await.unwrap()
    };
    let whole = download("").await;
    let mut lines = whole.split_inclusive('\n');
    let (header, first, rest) = (lines.next().unwrap(), lines.next().unwrap(), lines.collect::<String>());
    let fields: Vec<&str> = first.split(',').collect();
    assert_eq!((fields[1], fields[2]), ("2026-01-02T03:04:05.000001Z", "0"));
    for after in [format!("{}-{}", fields[1], fields[2]), "1767323045000001000-0".to_owned()] {
        assert_eq!(download(&format!("&after={after}")).await, format!("{header}{rest}"), "{after}");
    }
}

#[tokio::test]
async fn a_download_is_compressed_as_the_client_asks_for() {
    let server = with_ticks().await;
    // One that leaves bodies as they come.
    let client = reqwest::Client::builder().no_proxy().no_gzip().build().unwrap();
    let download = async |encoding: &str| {
        let request = client.get(server.api("/api/v1/ticks/export?symbol=EURUSD"));
        let response = request.header("accept-encoding", encoding).send().await.unwrap();
        let named = response.headers().get("content-encoding").map(|name| name.to_str().unwrap().to_owned());
        (named, response.bytes().await.unwrap())
    };
    let (none, plain) = download("identity").await;
    assert_eq!((none, plain.starts_with(b"symbol,")), (None, true));
    let (named, packed) = download("gzip").await;
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut unpacked).unwrap();
    assert_eq!((named.as_deref(), &unpacked), (Some("gzip"), &plain.to_vec()));
    let (named, packed) = download("zstd").await;
    assert_eq!((named.as_deref(), zstd::decode_all(&packed[..]).unwrap()), (Some("zstd"), plain.to_vec()));
}

#[tokio::test]
async fn what_cannot_be_asked_is_told_in_a_sentence() {
    let server = Running::start().await;
    for (path, told) in [
        ("/api/v1/ticks", "symbol"),
        ("/api/v1/ticks?symbol=X&limit=0", "limit"),
        ("/api/v1/ticks?symbol=X&after=x", "after"),
        ("/api/v1/ticks?symbol=X&from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
        ("/api/v1/ticks?symbol=X&what=1", "what"),
        ("/api/v1/ohlc?symbol=X&timeframe=fortnight", "timeframe"),
    ] {
        let response = server.client.get(server.api(path)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{path}");
        let body: Value = response.json().await.unwrap();
        assert!(body["error"]["message"].as_str().unwrap().contains(told), "{path}: {body}");
    }
}

#[tokio::test]
async fn what_a_web_page_may_send_without_leave_is_refused() {
    let server = Running::start().await;
    for path in ["/api/v1/ticks", "/api/v1/ticks/stream"] {
        for headers in
            [&[][..], &[("content-type", "text/plain")], &[("content-type", "application/x-www-form-urlencoded")]]
        {
            let answer = send(&server, path, headers, NDJSON).await;
            assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{path} {headers:?}");
        }
    }
    assert_eq!(server.ok("/api/v1/symbols").await["total"], 0);
}
