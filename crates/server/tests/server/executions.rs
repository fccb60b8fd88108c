//! What jobs do comes in as events, once and in order, and is shown live and afterwards.

use std::sync::Arc;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tallybook_core::{Family, LogLines, Query, StoreExt, Stream, Timestamp};

use crate::export::compress;
use crate::running::{Answer, PATIENCE, Running, Setup};

pub(crate) const ID: &str = "0190a1b2-c3d4-7e5f-8a9b-000000000001";

async fn send(server: &Running, method: Method, path: &str, body: Value) -> Answer {
    let request = server.client.request(method, server.api(&format!("/api/v1/executions{path}"))).json(&body);
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.bytes().await.unwrap();
    Answer { status, headers, body: serde_json::from_slice(&bytes).unwrap_or_default() }
}

async fn post(server: &Running, path: &str, body: Value) -> Answer {
    send(server, Method::POST, path, body).await
}

/// The events from the first on, at moments of 2026 that are a second apart.
fn numbered(first: u64, events: Vec<Value>) -> Value {
    let number = |(number, mut event): (u64, Value)| {
        event["number"] = number.into();
        event["at"] = format!("2026-01-02T03:04:{number:02}Z").into();
        event
    };
    (first..).zip(events).map(number).collect()
}

fn a_build() -> Vec<Value> {
    vec![
        json!({"type": "created", "name": "nightly", "command": ["make", "all"], "tags": {"team": "A"},
            "metadata": {}, "user_name": "ci"}),
        json!({"type": "started"}),
        json!({"type": "step_started", "name": "build", "parameters": {"jobs": 4}}),
        json!({"type": "lines", "lines": ["  cc a.c", "", {"text": "\u{1b}[31mwarning\u{1b}[0m <x>", "stream": "stderr"}]}),
        json!({"type": "annotation", "level": "warning", "message": "unused"}),
        json!({"type": "step_completed", "name": "build"}),
        json!({"type": "step_started", "name": "test"}),
        json!({"type": "lines", "lines": [{"text": "half a ", "end": "split"}, "line"]}),
        json!({"type": "meta", "key": "coverage", "value": "81 %"}),
        json!({"type": "finished", "status": "failed", "exit_code": 2, "error": "make: *** [test]"}),
    ]
}

/// Sends all that happened to [`ID`].
pub(crate) async fn built(server: &Running) -> Answer {
    post(server, &format!("/{ID}/events"), numbered(1, a_build())).await
}

#[tokio::test]
async fn a_build_is_shown_as_it_happened() {
    let server = Running::start().await;
    let answer = built(&server).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.body, json!({"accepted": 10, "duplicate": 0, "next": 11, "status": "failed", "cancel": false}));

    let shown = server.ok(&format!("/api/v1/executions/{ID}")).await;
    assert_eq!(shown["status"], "failed");
    assert_eq!(shown["command"], json!(["make", "all"]));
    assert_eq!((&shown["exit_code"], &shown["error_message"]), (&json!(2), &json!("make: *** [test]")));
    assert_eq!((&shown["total_steps"], &shown["completed_steps"], &shown["lines"]), (&json!(2), &json!(2), &json!(5)));
    assert_eq!((&shown["duration_ms"], &shown["metadata"]["coverage"]), (&json!(8000.0), &json!("81 %")));

    let steps = server.ok(&format!("/api/v1/executions/{ID}/steps")).await;
    let column = |name: &str| steps["data"].as_array().unwrap().iter().map(|s| s[name].clone()).collect::<Vec<_>>();
    assert_eq!(column("status"), ["completed", "failed"]);
    assert_eq!((&column("parameters")[0], &column("last_line")[0]), (&json!({"jobs": 4}), &json!(3)));
    let annotations = server.ok(&format!("/api/v1/executions/{ID}/annotations")).await;
    assert_eq!((&annotations["data"][0]["step"], &annotations["data"][0]["line"]), (&json!(0), &json!(3)));

    let account = server.writer.stats().families[&Family::Execution];
    assert_eq!(account.offered, account.stored + account.merged);
}

#[tokio::test]
async fn lines_come_in_order_by_step_by_stream_by_search_and_with_or_without_colours() {
    let server = Running::start().await;
    built(&server).await;
    let texts = async |query: &str| {
        let page = server.ok(&format!("/api/v1/executions/{ID}/logs?{query}")).await;
        let text = |line: &Value| line["text"].as_str().unwrap().to_owned();
        page["data"].as_array().unwrap().iter().map(text).collect::<Vec<String>>()
    };
    assert_eq!(texts("").await, ["  cc a.c", "", "\u{1b}[31mwarning\u{1b}[0m <x>", "half a ", "line"]);
    assert_eq!(texts("ansi=strip&stream=stderr").await, ["warning <x>"]);
    assert_eq!(texts("ansi=html&since=3&limit=1").await, ["<span style=\"color:#c00;\">warning</span> &lt;x&gt;"]);
    assert_eq!(texts("step=1").await, ["half a ", "line"]);
    assert_eq!(texts("tail=1").await, ["line"]);
    assert_eq!(texts("search=WARNING%20%3C").await.len(), 1);
    assert!(texts("since=6").await.is_empty());

    let page = server.ok(&format!("/api/v1/executions/{ID}/logs?limit=3")).await;
    assert_eq!((&page["has_more"], &page["next"]), (&json!(true), &json!(4)));
    assert_eq!(page["data"][2]["line"], 3);
    let page = server.ok(&format!("/api/v1/executions/{ID}/logs?since=4")).await;
    assert_eq!((&page["has_more"], &page["data"][0]["split"]), (&json!(false), &json!(true)));

    let text = server.client.get(server.api(&format!("/api/v1/executions/{ID}/logs/text?ansi=strip")));
    let text = text.send().await.unwrap().text().await.unwrap();
    assert_eq!(text, "  cc a.c\n\nwarning <x>\nhalf a line\n");
}

#[tokio::test]
async fn lines_are_followed_until_the_end_and_bytes_that_are_no_text_break_nothing() {
    let server = Arc::new(Running::start().await);
    post(&server, &format!("/{ID}/events"), numbered(1, a_build()[..4].to_vec())).await;
    let url = server.api(&format!("/api/v1/executions/{ID}/logs/follow?since=3&ansi=strip"));
    let following = tokio::spawn(server.client.get(url).send());
    let mut lines = LogLines::default();
    lines.push_block(Timestamp(1_767_000_000_000_000_000), Stream::Stdout, b"\xff\xfe\n");
    let chunk = serde_json::to_value(lines.encode().unwrap()).unwrap()["chunk"].clone();
    let rest = vec![
        json!({"type": "lines", "chunk": chunk}),
        json!({"type": "finished", "status": "completed", "exit_code": 0}),
    ];
    let answer = post(&server, &format!("/{ID}/events"), numbered(5, rest)).await;
    assert_eq!(answer.body["status"], "completed", "{}", answer.body);
    let followed = tokio::time::timeout(PATIENCE, async { following.await.unwrap().unwrap().text().await.unwrap() });
    let followed = followed.await.unwrap();
    let data: Vec<&str> = followed.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(data.len(), 3, "{followed}");
    assert!(data[0].contains("warning <x>") && data[1].contains("\u{fffd}") && data[2] == "completed", "{followed}");
    assert!(followed.contains("id: 4") && followed.contains("event: end"), "{followed}");
}

#[tokio::test]
async fn events_count_once_in_their_order_and_survive_a_new_server() {
    let setup = Setup::new();
    let store = setup.store.clone();
    let server = setup.start().await;
    let path = format!("/{ID}/events");
    post(&server, &path, numbered(1, a_build()[..5].to_vec())).await;
    let again = post(&server, &path, numbered(1, a_build()[..6].to_vec())).await;
    assert_eq!((&again.body["accepted"], &again.body["duplicate"]), (&json!(1), &json!(5)), "{}", again.body);
    let gap = post(&server, &path, numbered(9, a_build()[8..].to_vec())).await;
    assert_eq!(gap.status, StatusCode::CONFLICT);
    assert!(gap.body["error"]["message"].as_str().unwrap().contains("from 7 on"), "{}", gap.body);

    let other = Setup::new().store(store).start().await;
    let rest = post(&other, &path, numbered(7, a_build()[6..].to_vec())).await;
    assert_eq!((&rest.body["accepted"], &rest.body["status"]), (&json!(4), &json!("failed")), "{}", rest.body);
    // The first one remembers an older state.
    let late = post(&server, &path, numbered(7, vec![json!({"type": "finished", "status": "completed"})])).await;
    assert_eq!((&late.body["accepted"], &late.body["status"]), (&json!(0), &json!("failed")), "{}", late.body);
    assert_eq!(other.ok(&format!("/api/v1/executions/{ID}")).await["status"], "failed");
    let chunks = other.store.list_all::<tallybook_core::LogChunk>(Query::new(10)).await.unwrap();
    assert_eq!(chunks.iter().map(|chunk| chunk.first_line).collect::<Vec<_>>(), [1, 4]);
}

#[tokio::test]
async fn what_cannot_happen_is_said_and_what_came_before_it_is_kept() {
    let server = Running::start().await;
    let path = format!("/{ID}/events");
    let unknown = post(&server, &path, json!([])).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let events = numbered(1, vec![json!({"type": "created", "name": "x"}), json!({"type": "lines", "lines": ["y"]})]);
    let refused = post(&server, &path, events).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.body["error"]["message"].as_str().unwrap().contains("event 2: the execution is pending"));
    assert_eq!(server.ok(&format!("/api/v1/executions/{ID}")).await["status"], "pending");
    for bad in [json!({"number": 2}), json!({"number": 2, "type": "vanished"}), json!("x"), json!([[1]])] {
        assert_eq!(post(&server, &path, bad).await.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(post(&server, "/not-an-id/events", numbered(1, a_build())).await.status, StatusCode::BAD_REQUEST);
    let ndjson =
        "{\"number\":2,\"type\":\"started\"}\n\n{\"number\":3,\"type\":\"meta\",\"key\":\"k\",\"value\":\"v\"}\n";
    let request =
        server.client.post(server.api(&format!("/api/v1/executions{path}"))).body(compress("gzip", ndjson.as_bytes()));
    let headers = [("content-type", "application/x-ndjson"), ("content-encoding", "gzip")];
    let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!((&answer["accepted"], &answer["status"]), (&json!(2), &json!("running")), "{answer}");
}

#[tokio::test]
async fn executions_are_made_cancelled_ended_and_removed() {
    let server = Running::start().await;
    let made = post(&server, "", json!({"name": "deploy", "tags": {"env": "prod"}})).await;
    assert_eq!((made.status, &made.body["status"]), (StatusCode::CREATED, &json!("pending")), "{}", made.body);
    let id = made.body["id"].as_str().unwrap().to_owned();
    post(&server, &format!("/{id}/events"), json!({"number": 2, "type": "started"})).await;
    let asked = post(&server, &format!("/{id}/cancel"), json!({"reason": "wrong branch"})).await;
    assert_eq!((asked.status, &asked.body["status"]), (StatusCode::ACCEPTED, &json!("running")));
    // The runner learns of it even while its command is silent.
    let told = post(&server, &format!("/{id}/events"), json!([])).await;
    assert_eq!(told.body["cancel"], true, "{}", told.body);
    assert_eq!(send(&server, Method::DELETE, &format!("/{id}"), json!({})).await.status, StatusCode::CONFLICT);
    let forced = post(&server, &format!("/{id}/cancel"), json!({"force": true, "reason": "its machine is gone"})).await;
    assert_eq!(
        (&forced.body["status"], &forced.body["error_message"]),
        (&json!("cancelled"), &json!("its machine is gone"))
    );
    let late =
        post(&server, &format!("/{id}/events"), json!({"number": 3, "type": "finished", "status": "completed"})).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert_eq!(send(&server, Method::DELETE, &format!("/{id}"), json!({})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(server.error(&format!("/api/v1/executions/{id}")).await, (404, "not_found".into()));
    let pending = post(&server, "", json!({"name": "never"})).await.body;
    let cancelled = post(&server, &format!("/{}/cancel", pending["id"].as_str().unwrap()), json!({})).await;
    assert_eq!(cancelled.body["status"], "cancelled");
}

#[tokio::test]
async fn lists_are_filtered_and_paged_and_statistics_tell_steady_from_flaky() {
    let server = Running::start().await;
    for nth in 0..4 {
        let id = format!("0190a1b2-c3d4-7e5f-8a9b-0000000000{nth:02}");
        let mut events = a_build();
        events[0]["name"] = if nth == 3 { "other" } else { "nightly" }.into();
        events[0]["tags"] = json!({"nth": nth.to_string(), "quote": "\"=\\"});
        if nth == 1 {
            events[9] = json!({"type": "finished", "status": "completed", "exit_code": 0});
        }
        assert_eq!(post(&server, &format!("/{id}/events"), numbered(1, events)).await.status, StatusCode::OK);
    }
    let count = async |query: &str| {
        let page = server.ok(&format!("/api/v1/executions?total=true&{query}")).await;
        assert_eq!(page["total"], page["data"].as_array().unwrap().len(), "{query}");
        page["total"].as_u64().unwrap()
    };
    assert_eq!(count("").await, 4);
    assert_eq!(count("status=failed").await, 3);
    assert_eq!(count("name=nightly&status=completed").await, 1);
    assert_eq!(count("tag=nth%3D2").await, 1);
    assert_eq!(count("tag=quote%3D%22%3D%5C").await, 4);
    assert_eq!(count("contains=OTH").await, 1);
    assert_eq!(count("min_duration_ms=8000&max_duration_ms=8000").await, 4);
    assert_eq!(count("min_duration_ms=8001").await, 0);
    assert_eq!(count("to=2026-01-02T03:04:01Z").await, 0);
    let page = server.ok("/api/v1/executions?limit=3").await;
    let next = page["next"].as_str().unwrap();
    let rest = server.ok(&format!("/api/v1/executions?limit=3&after={next}")).await;
    assert_eq!((rest["data"].as_array().unwrap().len(), &rest["has_more"]), (1, &json!(false)));
    assert_eq!(server.error("/api/v1/executions?tag=x").await.0, 400);

    let statistics = server.ok("/api/v1/executions/statistics?from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z").await;
    let nightly = &statistics["data"][0];
    assert_eq!(
        (&nightly["name"], &nightly["runs"], &nightly["flakiness"]),
        (&json!("nightly"), &json!(3), &json!(1.0))
    );
    assert_eq!((&nightly["by_status"]["failed"], &nightly["p95_ms"]), (&json!(2), &json!(8000.0)));
    assert_eq!(nightly["trend"][0]["day"], "2026-01-02T00:00:00Z");
}
