//! `serve --demo`: a shop of five services that tells of itself over real OTLP, with the mistakes real systems make.

mod otlp;
mod shop;

use std::net::SocketAddr;
use std::time::Duration;

use prost::Message as _;
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use tallybook_core::Timestamp;
use tracing::warn;

/// The time between two reports of the shop.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);
/// Visitors between two reports.
const VISITS_PER_REPORT: usize = 12;

/// Sends the shop's telemetry to the OTLP/HTTP receiver at `receiver` until it is dropped.
pub(crate) async fn run(receiver: SocketAddr, token: Option<String>) {
    let client = reqwest::Client::new();
    let mut shop = shop::Shop::open(SmallRng::from_os_rng());
    let mut interval = tokio::time::interval(REPORT_INTERVAL);
    loop {
        interval.tick().await;
        let report = shop.report(VISITS_PER_REPORT, Timestamp::now());
        let requests = [
            ("traces", report.traces.encode_to_vec()),
            ("metrics", report.metrics.encode_to_vec()),
            ("logs", report.logs.encode_to_vec()),
        ];
        for (signal, body) in requests {
            let mut request = client
                .post(format!("http://{receiver}/v1/{signal}"))
                .header("content-type", "application/x-protobuf")
                .body(body);
            if let Some(token) = &token {
                request = request.bearer_auth(token);
            }
            match request.send().await {
                Ok(response) if response.status().is_success() => {}
                Ok(response) => warn!(status = %response.status(), signal, "the demo's telemetry was refused"),
                Err(error) => warn!(%error, signal, "the demo's telemetry could not be sent"),
            }
        }
    }
}
