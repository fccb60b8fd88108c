//! What clients are told when there is no room, or the store is away.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use serde_json::Value;
use tallybook_conformance::Chaos;
use tallybook_core::Signal;
use tallybook_store_memory::MemoryStore;
use tallybook_writer::{Health, WhenFull};
use tokio::task::JoinHandle;
use tonic::Code;
use tonic_types::StatusExt;

use crate::export::{self, JSON, PROTOBUF};
use crate::running::{Running, Setup, until};

struct Overloaded {
    server: Running,
    chaos: Arc<Chaos>,
    waiting: Vec<JoinHandle<reqwest::Response>>,
}

async fn start() -> Overloaded {
    let chaos = Arc::new(Chaos::new(Arc::new(MemoryStore::new())));
    let mut setup = Setup::new().store(chaos.clone());
    setup.writer.telemetry.when_full = WhenFull::Block { limit: Duration::from_millis(20) };
    setup.writer.telemetry.max_pending_rows = 1;
    Overloaded { server: setup.start().await, chaos, waiting: Vec::new() }
}

impl Overloaded {
    fn send(&mut self) {
        let request = self.server.client.post(self.server.otlp("/v1/logs")).header("content-type", PROTOBUF);
        let request = request.body(export::protobuf(Signal::Log, "shop"));
        self.waiting.push(tokio::spawn(async move { request.send().await.unwrap() }));
    }

    /// One request that is being committed, and one behind it that fills the queue.
    async fn fill(&mut self) {
        self.chaos.delay(Duration::from_secs(3600));
        self.send();
        let chaos = self.chaos.clone();
        until("the first is being committed", || chaos.commits() == 1).await;
        self.send();
        let writer = self.server.writer.clone();
        until("the second is in the queue", || writer.stats().pending_rows > 0).await;
    }

    async fn refused(&self) -> (reqwest::StatusCode, u64, Value) {
        let request = self.server.client.post(self.server.otlp("/v1/logs")).header("content-type", JSON);
        let response = request.body(export::json(Signal::Log, "shop")).send().await.unwrap();
        let retry_after = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        (response.status(), retry_after, response.json().await.unwrap())
    }
}

#[tokio::test]
async fn a_full_queue_tells_when_to_come_back() {
    let mut overloaded = start().await;
    overloaded.fill().await;
    let (status, retry_after, body) = overloaded.refused().await;
    assert_eq!((status.as_u16(), body["code"].as_i64()), (429, Some(8)));
    assert_eq!(body["details"][0]["retryDelay"], format!("{retry_after}s"));

    let endpoint = format!("http://{}", overloaded.server.addresses.otlp_grpc);
    let mut client = LogsServiceClient::connect(endpoint).await.unwrap();
    let status = client.export(export::logs("shop", 1)).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.get_details_retry_info().unwrap().retry_delay.unwrap() >= Duration::from_secs(1));
    assert_eq!(overloaded.server.accounting().offered, 2, "nothing of what was refused counts");
}

#[tokio::test]
async fn a_store_that_is_away_is_not_the_clients_fault() {
    let mut overloaded = start().await;
    overloaded.chaos.unavailable_for(u64::MAX);
    overloaded.send();
    let writer = overloaded.server.writer.clone();
    until("the commit has failed", || writer.health() != Health::Healthy).await;
    let (status, _, body) = overloaded.refused().await;
    assert_eq!((status.as_u16(), body["code"].as_i64()), (503, Some(14)));
    assert!(body["message"].as_str().unwrap().contains("the store is away"), "{body}");

    let endpoint = format!("http://{}", overloaded.server.addresses.otlp_grpc);
    let mut client = LogsServiceClient::connect(endpoint).await.unwrap();
    let status = client.export(export::logs("shop", 1)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.get_details_retry_info().is_some());

    assert_eq!(overloaded.server.error("/api/v1/ready").await, (503, "unavailable".to_owned()));
    overloaded.chaos.unavailable_for(0);
    for waiting in overloaded.waiting {
        assert_eq!(waiting.await.unwrap().status(), 200);
    }
    assert_eq!(overloaded.server.ok("/api/v1/ready").await["status"], "ok");
}
