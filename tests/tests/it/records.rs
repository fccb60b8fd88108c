//! Pings, ticks and an execution whose every time is fixed, so that they are the same wherever they are sent.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tallybook_tests::server::Client;

/// Sends them.
pub(crate) async fn send(client: &Client) -> Result<()> {
    let pings: Vec<Value> = (0..90)
        .map(|second| {
            let timestamp = 1_795_521_600 + second;
            let target = ["db", "web"][second % 2];
            match second % 10 {
                4 => json!({ "target": target, "timestamp": timestamp, "success": false, "error": "timeout" }),
                _ => json!({ "target": target, "timestamp": timestamp, "latency_ms": second as f64 / 8.0 + 1.0, "ttl": 64 }),
            }
        })
        .collect();
    let ticks: Vec<Value> = (0..120)
        .map(|second| {
            let symbol = ["EURUSD", "BTCUSD"][second % 2];
            json!({ "symbol": symbol, "timestamp": 1_795_521_600 + second / 3, "seq": second,
                "bid": format!("1.08{second:03}"), "ask": format!("1.09{second:03}"), "lp": "A" })
        })
        .collect();
    let at = |second: u32| format!("2026-11-24T12:00:{second:02}Z");
    let events = json!([
        { "number": 1, "at": at(0), "type": "created", "name": "nightly", "command": ["make", "all"], "tags": { "team": "search" },
            "user_name": "ada", "working_directory": "/srv", "total_steps": 2, "environment": { "CI": "1" } },
        { "number": 2, "at": at(1), "type": "started" },
        { "number": 3, "at": at(2), "type": "step_started", "name": "build", "parameters": { "jobs": 4 } },
        { "number": 4, "at": at(3), "type": "lines", "lines": [
            { "text": "cc a.c", "time": at(3) }, { "text": "a.c:7: unused", "stream": "stderr", "time": at(3) }] },
        { "number": 5, "at": at(4), "type": "step_completed" },
        { "number": 6, "at": at(5), "type": "step_started", "name": "test", "stop_on_error": true },
        { "number": 7, "at": at(6), "type": "annotation", "level": "warning", "message": "old" },
        { "number": 8, "at": at(6), "type": "artifact", "path": "out.txt", "description": "What was made", "kind": "file",
            "size": 5, "sha256": "ab".repeat(32), "mime": "text/plain" },
        { "number": 9, "at": at(7), "type": "meta", "key": "rows", "value": "7" },
        { "number": 10, "at": at(8), "type": "step_failed", "error": "one failed" },
        { "number": 11, "at": at(9), "type": "finished", "status": "failed", "exit_code": 3, "error": "it ended with 3" },
    ]);
    let headers = [("content-type", "application/json")];
    for (path, body) in [
        ("pings", Value::from(pings)),
        ("ticks", Value::from(ticks)),
        ("executions/0190a1b2-c3d4-7e5f-8a9b-000000000001/events", events),
    ] {
        let answer = client.post_to_api(path, &headers, body.to_string()).await?;
        ensure!(answer.status == 200, "{path}: {}: {}", answer.status, answer.text());
    }
    Ok(())
}
