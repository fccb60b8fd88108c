//! How a server starts and ends.

use std::sync::Arc;
use std::time::Duration;

use tallybook_conformance::Chaos;
use tallybook_core::Signal;
use tallybook_server::{Limits, Server, StartError};
use tallybook_store_memory::MemoryStore;
use tallybook_telemetry::{Fold, FoldOptions};
use tallybook_writer::{Writer, WriterOptions};
use tokio::net::TcpStream;

use crate::export::{self, PROTOBUF};
use crate::running::{Running, Setup, until};

async fn bind(setup: Setup) -> Result<Server, StartError> {
    let Setup { options, store, .. } = setup;
    let writer = Writer::start(store.clone(), Fold::new(FoldOptions::default()), WriterOptions::default());
    Server::bind(options, store, writer).await
}

#[tokio::test]
async fn a_port_in_use_is_told_with_its_setting() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut setup = Setup::new();
    setup.options.api_addr = taken.local_addr().unwrap();
    let error = bind(setup).await.unwrap_err();
    assert!(matches!(error, StartError::PortInUse { setting: "API_ADDR", .. }), "{error:?}");
    assert!(error.to_string().contains("API_ADDR"), "{error}");
}

#[tokio::test]
async fn without_a_token_only_loopback_is_bound() {
    let mut setup = Setup::new();
    setup.options.otlp_grpc_addr = "0.0.0.0:0".parse().unwrap();
    let error = bind(setup).await.unwrap_err();
    assert!(error.to_string().contains("API_TOKEN"), "{error}");
    let mut setup = Setup::new().token("secret");
    setup.options.otlp_grpc_addr = "0.0.0.0:0".parse().unwrap();
    bind(setup).await.unwrap();
}

fn send(server: &Running) -> tokio::task::JoinHandle<reqwest::Result<reqwest::Response>> {
    let request = server.client.post(server.otlp("/v1/logs")).header("content-type", PROTOBUF);
    tokio::spawn(request.body(export::protobuf(Signal::Log, "shop")).send())
}

#[tokio::test]
async fn running_requests_are_finished_while_the_receivers_close_first() {
    let chaos = Arc::new(Chaos::new(Arc::new(MemoryStore::new())));
    chaos.delay(Duration::from_secs(3600));
    let mut server = Setup::new().store(chaos.clone()).start().await;
    let running = send(&server);
    until("it is being committed", || chaos.commits() == 1).await;
    server.begin_stop();
    let receiver = server.addresses.otlp_http;
    while TcpStream::connect(receiver).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(server.error("/api/v1/ready").await, (503, "unavailable".to_owned()));
    chaos.delay(Duration::ZERO);
    assert_eq!(running.await.unwrap().unwrap().status(), 200);
    let api = server.addresses.api;
    assert_eq!(server.stopped().await.cut_off, 0);
    assert!(TcpStream::connect(api).await.is_err());
}

#[tokio::test]
async fn requests_that_outlast_the_limit_are_cut_off() {
    let chaos = Arc::new(Chaos::new(Arc::new(MemoryStore::new())));
    chaos.delay(Duration::from_secs(3600));
    let limits = Limits { stop_limit: Duration::from_millis(50), ..Limits::default() };
    let server = Setup::new().store(chaos.clone()).limits(limits).start().await;
    let running = send(&server);
    until("it is being committed", || chaos.commits() == 1).await;
    assert_eq!(server.stopped().await.cut_off, 1);
    assert!(running.await.unwrap().is_err());
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_end() {
    let server = Running::start().await;
    let mut idle = Vec::new();
    for address in [server.addresses.otlp_grpc, server.addresses.otlp_http, server.addresses.api] {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    server.ok("/api/v1/health").await;
    let begun = std::time::Instant::now();
    assert_eq!(server.stopped().await.cut_off, 0);
    assert!(begun.elapsed() < Limits::default().stop_limit);
}
