//! Alerts: rules are set, pings break them, and a webhook hears of it, also when its receiver fails at first.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{Json, State};
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::{Value, json};
use tallybook_core::Timestamp;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::running::{PATIENCE, Running, Setup};

type Heard = (Arc<AtomicUsize>, mpsc::UnboundedSender<Value>);

/// Fails the first post, and hears the others.
async fn hear(State((posts, heard)): State<Heard>, Json(alert): Json<Value>) -> StatusCode {
    if posts.fetch_add(1, Ordering::Relaxed) == 0 {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    heard.send(alert).unwrap();
    StatusCode::NO_CONTENT
}

async fn ping(server: &Running, seconds_ago: i64, latency_ms: Value) {
    let time = Timestamp::now().earlier(seconds_ago * 1_000_000_000);
    let body = json!({ "target": "a", "timestamp": time.to_string(), "latency_ms": latency_ms });
    let response = server.client.post(server.api("/api/v1/pings")).json(&body).send().await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_target_that_is_down_is_told_once_and_so_is_its_return() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let webhook = format!("http://{}/hook", listener.local_addr().unwrap());
    let (sender, mut heard) = mpsc::unbounded_channel();
    let hook = Router::new().route("/hook", post(hear)).with_state((Arc::default(), sender));
    tokio::spawn(axum::serve(listener, hook).into_future());

    let server = Running::start().await;
    let rules = json!({
        "rules": [{ "name": "nobody home", "when": "down", "for_seconds": 30, "cooldown_seconds": 0 }],
        "webhook": webhook,
    });
    let set = server.client.put(server.api("/api/v1/alerts/rules")).json(&rules).send().await.unwrap();
    assert_eq!(set.status(), 200);
    ping(&server, 60, Value::Null).await;
    let alert = timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
    assert_eq!(
        (&alert["state"], &alert["rule"], &alert["target"]),
        (&json!("firing"), &json!("nobody home"), &json!("a"))
    );
    assert_eq!(server.ok("/api/v1/alerts").await["data"][0]["text"], alert["text"]);
    ping(&server, 0, json!(1.5)).await;
    let over = timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
    assert_eq!((&over["state"], &over["since"]), (&json!("resolved"), &alert["since"]));
    assert_eq!(server.ok("/api/v1/alerts").await["total"], 0);
    assert!(heard.try_recv().is_err());
}

#[tokio::test]
async fn an_alert_of_a_target_that_is_removed_is_over() {
    let server = Running::start().await;
    let rules = json!({ "rules": [{ "name": "down", "when": "down", "for_seconds": 1 }] });
    let set = server.client.put(server.api("/api/v1/alerts/rules")).json(&rules).send().await.unwrap();
    assert_eq!(set.status(), 200);
    // Taken, so that nobody else answers there.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let target = json!({ "target": format!("tcp://{}", closed.local_addr().unwrap()), "interval_ms": 100 });
    let added = server.client.post(server.api("/api/v1/ping/targets")).json(&target).send().await.unwrap();
    let added: Value = added.json().await.unwrap();
    let firing = async |total: u64| {
        let wait = async {
            while server.ok("/api/v1/alerts").await["total"] != total {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("there are not {total} alerts"));
    };
    firing(1).await;
    let path = format!("/api/v1/ping/targets/{}", added["id"].as_str().unwrap());
    assert_eq!(server.client.delete(server.api(&path)).send().await.unwrap().status(), 204);
    firing(0).await;
}

#[tokio::test]
async fn rules_that_cannot_be_are_refused_and_the_old_ones_stay() {
    let server = Running::start().await;
    let put = async |rules: Value| {
        let response = server.client.put(server.api("/api/v1/alerts/rules")).json(&rules).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let good = json!({ "rules": [{ "name": "slow", "when": "latency", "above": 50.0, "for_seconds": 5 }] });
    assert_eq!(put(good).await.0, 200);
    for (bad, part) in [
        (json!({ "rules": [{ "name": "x", "when": "loss", "for_seconds": 5 }] }), "percent"),
        (json!({ "webhook": "ftp://hooks.example/" }), "http://"),
        (json!({ "rule": [] }), "rule"),
    ] {
        let (status, answer) = put(bad).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(status == 400 && message.contains(part), "{status} {message}");
    }
    let rules = server.ok("/api/v1/alerts/rules").await;
    assert_eq!((&rules["rules"][0]["name"], &rules["webhook"]), (&json!("slow"), &Value::Null));
}

#[tokio::test]
async fn rules_outlive_their_server_and_are_those_of_all_that_share_the_store() {
    let first = Running::start().await;
    let store = first.store.clone();
    let put = async |server: &Running, name: &str| {
        let rules =
            json!({ "rules": [{ "name": name, "when": "down", "for_seconds": 30 }], "webhook": "http://127.0.0.1:9/" });
        let set = server.client.put(server.api("/api/v1/alerts/rules")).json(&rules).send().await.unwrap();
        assert_eq!(set.status(), 200);
    };
    put(&first, "before").await;
    let rules = first.ok("/api/v1/alerts/rules").await;
    first.stopped().await;

    let second = Setup::new().store(store.clone()).start().await;
    assert_eq!(second.ok("/api/v1/alerts/rules").await, rules);
    let other = Setup::new().store(store).start().await;
    put(&other, "after").await;
    assert_eq!(second.ok("/api/v1/alerts/rules").await["rules"][0]["name"], "after");
    ping(&second, 60, Value::Null).await;
    let fired = timeout(PATIENCE, async {
        while second.ok("/api/v1/alerts").await["total"] == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
    fired.await.expect("stored rules are watched");
}
