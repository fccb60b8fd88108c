//! Who may ask, and in which form everything is answered.

use std::sync::Arc;

use reqwest::Method;
use tallybook_core::ErrorKind;

use crate::running::{Running, Setup};
use crate::stores::Watched;

#[tokio::test]
async fn the_token_is_asked_for_by_all_but_probes() {
    let server = Setup::new().token("secret").start().await;
    for path in ["/api/v1/services", "/api/v1/openapi.json", "/metrics", "/nothing"] {
        let answer = server.get(path).await;
        assert_eq!((answer.status.as_u16(), &answer.headers["www-authenticate"]), (401, &"Bearer".parse().unwrap()));
        assert_eq!(answer.body["error"]["code"], "unauthorized");
        let wrong = server.client.get(server.api(path)).bearer_auth("secrets").send().await.unwrap();
        assert_eq!(wrong.status(), 401);
        let right = server.client.get(server.api(path)).bearer_auth("secret").send().await.unwrap();
        assert_ne!(right.status(), 401);
    }
    for path in ["/api/v1/health", "/api/v1/ready"] {
        assert_eq!(server.ok(path).await["status"], "ok");
    }
}

#[tokio::test]
async fn without_a_token_only_names_of_this_machine_are_answered() {
    let ask = async |server: &Running, host: &str| {
        let request = server.client.get(server.api("/api/v1/health")).header("host", host);
        request.send().await.unwrap().status().as_u16()
    };
    let open = Running::start().await;
    assert_eq!(ask(&open, "localhost:8090").await, 200);
    assert_eq!(ask(&open, "rebound.example").await, 403);
    let guarded = Setup::new().token("secret").start().await;
    assert_eq!(ask(&guarded, "tallybook.example").await, 200);
}

#[tokio::test]
async fn other_methods_are_refused_in_the_one_form() {
    let server = Running::start().await;
    for path in ["/api/v1/services", "/api/v1/metrics/a/b", "/metrics", "/api/v1/openapi.json"] {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS, Method::TRACE] {
            let response = server.client.request(method.clone(), server.api(path)).send().await.unwrap();
            assert_eq!((response.status().as_u16(), &response.headers()["allow"]), (405, &"GET,HEAD".parse().unwrap()));
            let body: serde_json::Value = response.json().await.unwrap();
            assert_eq!(body["error"]["code"], "method_not_allowed", "{method} {path}");
        }
        let head = server.client.head(server.api(path)).send().await.unwrap();
        assert_ne!(head.status(), 405);
        assert!(head.bytes().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn large_bodies_are_refused() {
    let server = Running::start().await;
    let request = server.client.get(server.api("/api/v1/services")).body(vec![0; 100_000]);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 413);
    let body: serde_json::Value = response.json().await.unwrap();
    assert_eq!(body["error"]["code"], "body_too_large");
}

#[tokio::test]
async fn every_answer_tells_browsers_to_keep_out() {
    let server = Running::start().await;
    for path in ["/api/v1/services", "/nothing", "/api/v1/services?x=1"] {
        let headers = server.get(path).await.headers;
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cache-control"], "no-store");
        assert!(headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
        assert!(!headers.contains_key("access-control-allow-origin"));
    }
}

#[tokio::test]
async fn a_store_that_fails_is_told_apart_from_a_question_that_is_wrong() {
    let store = Arc::new(Watched::default());
    let server = Setup::new().store(store.clone()).start().await;
    for (kind, status, code) in [
        (ErrorKind::Unavailable, 503, "unavailable"),
        (ErrorKind::Corrupt, 500, "internal"),
        (ErrorKind::Invalid, 400, "invalid_query"),
    ] {
        store.fail_with(Some(kind));
        let answer = server.get("/api/v1/metrics").await;
        assert_eq!((answer.status.as_u16(), &answer.body["error"]["code"]), (status, &code.into()));
        assert_eq!(answer.headers.contains_key("retry-after"), status == 503);
        let ready = server.get("/api/v1/ready").await;
        assert_eq!(ready.status.as_u16(), status);
    }
    store.fail_with(None);
    server.ok("/api/v1/ready").await;
}
