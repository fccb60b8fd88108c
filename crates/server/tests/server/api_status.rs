//! `stats`, `version` and `/metrics`.

use serde_json::json;
use tallybook_core::Signal;

use crate::export::{self, PROTOBUF};
use crate::running::Running;

async fn send(server: &Running, body: Vec<u8>) -> u16 {
    let request = server.client.post(server.otlp("/v1/logs")).header("content-type", PROTOBUF);
    request.body(body).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn stats_account_for_every_record() {
    let server = Running::start().await;
    assert_eq!(send(&server, export::protobuf(Signal::Log, "shop")).await, 200);
    assert_eq!(send(&server, b"\xff".to_vec()).await, 400);
    let stats = server.ok("/api/v1/stats").await;
    let account = json!({
        "offered": 1, "stored": 0, "merged": 1, "duplicate": 0, "rejected": 0, "shed": 0, "queued": 0
    });
    assert_eq!(stats["families"]["telemetry"], account);
    assert_eq!(stats["writer"]["refused_requests"]["decode"], 1);
    assert_eq!((&stats["writer"]["state"], &stats["writer"]["failing_since"]), (&json!("running"), &json!(null)));
    assert_eq!((&stats["catalogue"]["services"], &stats["catalogue"]["templates"]), (&json!(1), &json!(1)));
    assert_eq!((&stats["fold"]["services"], &stats["store"]["name"]), (&json!(1), &json!("memory")));
}

#[tokio::test]
async fn the_version_names_the_store() {
    let server = Running::start().await;
    let version = server.ok("/api/v1/version").await;
    assert_eq!((&version["name"], &version["store"]), (&json!("tallybook"), &json!("memory")));
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}

async fn exposed(server: &Running) -> Vec<String> {
    let response = server.client.get(server.api("/metrics")).send().await.unwrap();
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    response.text().await.unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn prometheus_reads_the_accounting_and_the_requests() {
    let server = Running::start().await;
    let body = export::protobuf(Signal::Log, "shop");
    let bytes = body.len();
    send(&server, body).await;
    send(&server, b"\xff".to_vec()).await;
    server.ok("/api/v1/health").await;
    let lines = exposed(&server).await;
    for line in [
        "tallybook_records_total{family=\"telemetry\",fate=\"merged\"} 1",
        "tallybook_records_total{family=\"telemetry\",fate=\"offered\"} 1",
        "tallybook_queued_records{family=\"telemetry\"} 0",
        "tallybook_otlp_requests_total{protocol=\"http/protobuf\",signal=\"log\",code=\"OK\"} 1",
        "tallybook_otlp_requests_total{protocol=\"http/protobuf\",signal=\"log\",code=\"INVALID_ARGUMENT\"} 1",
        &format!("tallybook_otlp_received_bytes_total{{protocol=\"http/protobuf\",signal=\"log\"}} {}", bytes + 1),
        "tallybook_api_requests_total{status=\"200\"} 1",
        "tallybook_writer_failing 0",
        "# EOF",
    ] {
        assert!(lines.iter().any(|exposed| exposed == line), "{line} is not in\n{}", lines.join("\n"));
    }
}

#[tokio::test]
async fn what_clients_send_never_becomes_a_series() {
    let server = Running::start().await;
    send(&server, export::protobuf(Signal::Log, "first")).await;
    send(&server, b"\xff".to_vec()).await;
    for path in ["/api/v1/health", "/nothing", "/metrics"] {
        server.client.get(server.api(path)).send().await.unwrap();
    }
    let before = exposed(&server).await.len();
    for service in 0..20 {
        send(&server, export::protobuf(Signal::Log, &format!("service-{service}"))).await;
        server.client.get(server.api(&format!("/nothing/{service}"))).send().await.unwrap();
    }
    assert_eq!(exposed(&server).await.len(), before);
}
