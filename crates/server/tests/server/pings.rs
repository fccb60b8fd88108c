//! Pings come in, in every format, and what is wrong with them is told.

use reqwest::StatusCode;
use serde_json::{Value, json};
use tallybook_core::{DeadLetter, Family, Query, StoreExt};

use crate::export::compress;
use crate::running::{Answer, Running, Setup};

async fn post(server: &Running, content_type: &str, encoding: &str, body: impl Into<Vec<u8>>) -> Answer {
    let request = server.client.post(server.api("/api/v1/pings")).header("content-type", content_type);
    let response = request.header("content-encoding", encoding).body(body.into()).send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, body: response.json().await.unwrap() }
}

fn counts(answer: &Answer) -> [u64; 4] {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    ["accepted", "duplicate", "replaced", "rejected"].map(|name| answer.body[name].as_u64().unwrap())
}

const NDJSON: &str = r#"{"target": "a", "timestamp": "2026-01-02T03:04:05Z", "latency_ms": 12.5, "ttl": 64}
{"target": "a", "ts": 1767323046, "success": false, "error": "no answer"}
"#;

#[tokio::test]
async fn every_format_and_compression_brings_the_same_pings() {
    let json = format!("[{}]", NDJSON.trim().replace('\n', ","));
    let csv = "target,timestamp,latency_ms,ttl,success,error\n\
               a,2026-01-02T03:04:05Z,12.5,64,true,\na,1767323046,,,false,no answer\n";
    let mut seen: Vec<Value> = Vec::new();
    for (content_type, body, encoding) in [
        ("application/json", json.as_str(), "identity"),
        ("application/x-ndjson", NDJSON, "gzip"),
        ("text/csv; charset=utf-8", csv, "zstd"),
    ] {
        let server = Running::start().await;
        let answer = post(&server, content_type, encoding, compress(encoding, body.as_bytes())).await;
        assert_eq!(counts(&answer), [2, 0, 0, 0], "{content_type}: {}", answer.body);
        let page = server.ok("/api/v1/pings?target=a").await;
        // Jitter is made of the order in which they come; all else is as it was sent.
        seen.push(page["data"].clone());
    }
    assert_eq!(seen[0][0]["timestamp"], "2026-01-02T03:04:05Z");
    assert_eq!((&seen[0][0]["latency_ms"], &seen[0][0]["success"]), (&json!(12.5), &json!(true)));
    assert_eq!((&seen[0][1]["latency_ms"], &seen[0][1]["error"]), (&Value::Null, &json!("no answer")));
    assert!(seen.iter().all(|pings| *pings == seen[0]), "{seen:?}");
}

#[tokio::test]
async fn one_object_is_a_request_and_sent_again_it_is_a_duplicate() {
    let server = Running::start().await;
    let body = r#"{"target": "a", "timestamp": 1767323046, "latency_ms": 1, "jitter_ms": 0.5}"#;
    assert_eq!(counts(&post(&server, "application/json", "identity", body).await), [1, 0, 0, 0]);
    assert_eq!(counts(&post(&server, "application/json", "identity", body).await), [0, 1, 0, 0]);
    let corrected = body.replace("\"latency_ms\": 1,", "\"latency_ms\": 2,");
    assert_eq!(counts(&post(&server, "application/json", "identity", corrected).await), [0, 0, 1, 0]);
    let page = server.ok("/api/v1/pings?target=a").await;
    assert_eq!((&page["total"], &page["data"][0]["latency_ms"]), (&json!(1), &json!(2.0)));
}

#[tokio::test]
async fn bad_lines_are_dead_letters_with_their_number_and_the_rest_is_in() {
    let server = Running::start().await;
    let body =
        "target,timestamp,latency_ms\na,1767323046,5\na,yesterday,5\n,1767323047,5\na,1767323048,0\na,1767323049,6\n";
    let answer = post(&server, "text/csv", "identity", body).await;
    assert_eq!(counts(&answer), [2, 0, 0, 3], "{}", answer.body);
    let lines: Vec<_> = answer.body["errors"].as_array().unwrap().iter().map(|error| error["line"].clone()).collect();
    assert_eq!(lines, [3, 4, 5]);
    let letters = server.store.list_all::<DeadLetter>(Query::new(10)).await.unwrap();
    assert_eq!(letters.len(), 3);
    assert!(letters.iter().any(|letter| letter.error.contains("line 3") && letter.record.contains("yesterday")));
    let accounting = server.writer.stats().families[&Family::Ping];
    assert_eq!((accounting.offered, accounting.stored, accounting.rejected), (5, 2, 3));
}

#[tokio::test]
async fn a_body_that_cannot_be_read_at_all_is_refused_whole() {
    let mut setup = Setup::new();
    setup.options.limits.max_decompressed_bytes = 1_000;
    let server = setup.start().await;
    let large = compress("gzip", &vec![b' '; 100_000]);
    for (content_type, encoding, body, status, code) in [
        ("text/plain", "identity", b"x".to_vec(), 415, "unsupported_media_type"),
        ("application/json", "br", b"x".to_vec(), 415, "unsupported_encoding"),
        ("application/json", "identity", b"{".to_vec(), 400, "invalid_body"),
        ("application/json", "identity", b"12".to_vec(), 400, "invalid_body"),
        ("text/csv", "identity", b"colour,size\n1,2\n".to_vec(), 400, "invalid_body"),
        ("application/json", "gzip", b"not gzip".to_vec(), 400, "invalid_body"),
        ("application/json", "gzip", large, 413, "body_too_large"),
    ] {
        let answer = post(&server, content_type, encoding, body).await;
        let found = (answer.status.as_u16(), answer.body["error"]["code"].as_str().unwrap());
        assert_eq!(found, (status, code), "{content_type}: {}", answer.body);
    }
    // What a page of another origin can send without asking has no content type of ours.
    let response = server.client.post(server.api("/api/v1/pings")).body("[]").send().await.unwrap();
    assert_eq!(response.status(), 415);
    assert_eq!(server.ok("/api/v1/targets").await["total"], 0);
}
