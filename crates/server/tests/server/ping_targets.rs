//! Targets that the server probes by itself: added, changed and removed while it runs.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use crate::running::{PATIENCE, Running};

async fn send(server: &Running, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let response = server.client.request(method, server.api(path)).json(body).send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

async fn add(server: &Running, body: &Value) -> (u16, Value) {
    send(server, Method::POST, "/api/v1/ping/targets", body).await
}

#[tokio::test]
async fn a_target_is_probed_from_the_moment_it_is_added_until_it_is_removed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("tcp://{}", listener.local_addr().unwrap());
    let server = Running::start().await;
    let (status, added) = add(&server, &json!({ "target": target, "interval_ms": 100 })).await;
    assert_eq!((status, &added["enabled"], &added["timeout_ms"]), (201, &json!(true), &json!(1000.0)), "{added}");
    let pings = async || {
        let path = format!("/api/v1/pings?target={}&limit=1000", target.replace('/', "%2F"));
        server.ok(&path).await["total"].as_u64().unwrap()
    };
    let patience = Instant::now() + PATIENCE;
    while pings().await < 3 {
        assert!(Instant::now() < patience, "it is not probed");
        sleep(Duration::from_millis(20)).await;
    }
    let state = server.ok("/api/v1/targets").await["data"][0]["state"].clone();
    assert_eq!(state, "up");
    let path = format!("/api/v1/ping/targets/{}", added["id"].as_str().unwrap());
    assert_eq!(send(&server, Method::DELETE, &path, &Value::Null).await.0, 204);
    assert_eq!(server.ok("/api/v1/ping/targets").await["total"], 0);
    // What was on its way is stored.
    let mut left = pings().await;
    loop {
        sleep(Duration::from_millis(500)).await;
        match pings().await {
            same if same == left => break,
            more => left = more,
        }
        assert!(Instant::now() < patience, "it is still probed");
    }
    assert!(left >= 3, "its pings stay");
    assert_eq!(send(&server, Method::DELETE, &path, &Value::Null).await.0, 404);
    assert!(server.stopped().await.cut_off <= 1);
}

#[tokio::test]
async fn a_change_is_whole_and_what_cannot_be_is_told_in_a_sentence() {
    let server = Running::start().await;
    let target = "tcp://127.0.0.1:9";
    let (_, first) = add(&server, &json!({ "target": target, "enabled": false })).await;
    let (_, second) = add(&server, &json!({ "target": "tcp://127.0.0.1:10", "enabled": false })).await;
    let path = format!("/api/v1/ping/targets/{}", first["id"].as_str().unwrap());
    let changed = json!({ "target": target, "interval_ms": 5000, "enabled": false });
    let (status, changed) = send(&server, Method::PUT, &path, &changed).await;
    assert_eq!((status, &changed["interval_ms"], &changed["id"]), (200, &json!(5000.0), &first["id"]));
    let listed = server.ok("/api/v1/ping/targets").await;
    let ids: Vec<&Value> = listed["data"].as_array().unwrap().iter().map(|target| &target["id"]).collect();
    assert_eq!(ids, [&first["id"], &second["id"]]);
    for (body, status, part) in [
        (json!({ "target": target }), 409, "is a target already"),
        (json!({ "target": "ftp://example.com" }), 400, "scheme"),
        (json!({ "target": "tcp://127.0.0.1:11", "interval_ms": 99 }), 400, "100 ms"),
        (json!({ "target": "tcp://127.0.0.1:11", "timeout_ms": 60_001 }), 400, "60 s"),
        (json!({ "target": "tcp://127.0.0.1:11", "colour": 1 }), 400, "colour"),
        (json!({ "interval_ms": 1000 }), 400, "target"),
    ] {
        let (found, answer) = add(&server, &body).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(found == status && message.contains(part), "{body}: {found} {message}");
    }
    let nobody = "/api/v1/ping/targets/nobody";
    assert_eq!(send(&server, Method::PUT, nobody, &json!({ "target": "tcp://127.0.0.1:11" })).await.0, 404);
    let plain = server.client.post(server.api("/api/v1/ping/targets")).body("{}").send().await.unwrap();
    assert_eq!(plain.status(), 415);
}
