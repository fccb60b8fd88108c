//! Whichever store is under it, the API answers the same.

use anyhow::Result;
use jiff::ToSpan as _;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use serde_json::Value;
use tallybook_tests::otlp::{gauge, log, logs, metrics, span, text, traces};
use tallybook_tests::postgres::Database;
use tallybook_tests::server::Client;
use tallybook_tests::setup::Setup;

use crate::records;

/// Everything the API tells of a catalogue.
const QUESTIONS: &[&str] = &[
    "services",
    "services?sort=log_records&order=desc",
    "services/service-1/overview",
    "metrics?limit=3",
    "metrics?limit=3&offset=2&sort=sample_count",
    "metrics?service=service-1&sort=active_series&order=desc",
    "metrics?contains=LENGTH",
    "metrics/queue/length/3",
    "spans?sort=sample_count&order=desc&limit=7",
    "spans?min_count=2",
    "spans/GET%20%2Fitems%2F1",
    "span-patterns",
    "logs",
    "logs?min_count=10",
    "logs/INFO",
    "logs/warn?service=service-2",
    "logs/templates",
    "logs/templates?service=service-1&severity=INFO&min_count=3",
    "attributes",
    "attributes?sort=cardinality&order=desc&limit=2",
    "attributes?min_cardinality=3&max_cardinality=4",
    "attributes?signal=log&scope=attribute",
    "attributes/user.id",
    "cardinality/high?threshold=5",
    "cardinality/complexity",
    "targets?from=2026-11-24T00:00:00Z&to=2026-11-25T00:00:00Z",
    "pings?target=db&from=2026-11-24T12:00:00Z&to=2026-11-24T13:00:00Z",
    "targets/db/summary?from=2026-11-24T00:00:00Z&to=2026-11-25T00:00:00Z",
    "targets/db/outages?from=2026-11-24T00:00:00Z&to=2026-11-25T00:00:00Z&min_lost=1",
    "targets/db/heatmap?from=2026-11-24T00:00:00Z&to=2026-11-25T00:00:00Z",
    "symbols",
    "ticks/count?symbol=EURUSD",
    "ohlc?symbol=EURUSD&timeframe=1m&from=2026-11-24T12:00:00Z&to=2026-11-24T13:00:00Z",
    "executions?name=nightly",
    "executions?tag=team%3Dsearch&status=failed",
    "executions/0190a1b2-c3d4-7e5f-8a9b-000000000001",
    "executions/0190a1b2-c3d4-7e5f-8a9b-000000000001/steps",
    "executions/0190a1b2-c3d4-7e5f-8a9b-000000000001/logs?search=unused",
];

struct Telemetry {
    /// A question about growth, from before the telemetry to after it.
    growth: String,
    logs: Vec<ExportLogsServiceRequest>,
    metrics: Vec<ExportMetricsServiceRequest>,
    traces: Vec<ExportTraceServiceRequest>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_sqlite_and_postgresql_answer_the_same() -> Result<()> {
    let telemetry = telemetry();
    let database = Database::new()?;
    let mut answers = Vec::new();
    for backend in ["memory", "sqlite", "postgres"] {
        let setup = Setup::new()?.with("USE_DB", backend).with("DATABASE_URL", &database.url());
        let server = setup.start().await?;
        send(&server, &telemetry).await?;
        answers.push(ask(&server, &telemetry).await?);
        server.stop().await?;
    }
    for (name, others) in ["sqlite", "postgres"].iter().zip(&answers[1..]) {
        for (memory, other) in answers[0].iter().zip(others) {
            assert_eq!(memory, other, "{name}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_answers_the_same_after_a_restart() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    let telemetry = telemetry();
    send(&server, &telemetry).await?;
    let before = ask(&server, &telemetry).await?;
    server.stop().await?;
    let server = setup.start().await?;
    let after = ask(&server, &telemetry).await?;
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before, after);
    }
    server.stop().await
}

/// Made once, so that both stores get the same times.
fn telemetry() -> Telemetry {
    let now = jiff::Timestamp::now();
    let (from, to) = (now - 24.hours(), now + 1.hour());
    let growth = format!("growth?from={from}&to={to}");
    let mut telemetry = Telemetry { growth, logs: Vec::new(), metrics: Vec::new(), traces: Vec::new() };
    for service in 0..4_usize {
        let name = format!("service-{service}");
        let user = |at: usize| text("user.id", format!("user_{}", at * (service + 1)));
        let record = |at: usize| {
            let body = match at % 4 {
                0 => format!("user {at} logged in from 10.0.0.{at}"),
                1 => format!("cache miss for session {at:08x}"),
                2 => format!("GET /items/{at} took {at} ms"),
                _ => "all is well".to_owned(),
            };
            let mut record = log(body);
            record.severity_number = [9, 13, 17][at % 3];
            record.attributes = vec![user(at), text("region", format!("region-{}", at % 3))];
            record
        };
        telemetry.logs.push(logs(&name, (0..60).map(record).collect()));
        let named = |at: usize| {
            let mut span = span(format!("GET /items/{}", at % 20));
            span.attributes = vec![user(at)];
            span
        };
        telemetry.traces.push(traces(&name, (0..30).map(named).collect()));
        let metric = |at: usize| gauge(format!("queue/length/{at}"), (0..=at * 3).map(|at| vec![user(at)]).collect());
        telemetry.metrics.push(metrics(&name, (0..6).map(metric).collect()));
    }
    telemetry
}

async fn send(client: &Client, telemetry: &Telemetry) -> Result<()> {
    // One after the other: which of two concurrent bodies becomes a template's example is not defined.
    for request in &telemetry.logs {
        client.send(request).await?;
    }
    for request in &telemetry.metrics {
        client.send(request).await?;
    }
    for request in &telemetry.traces {
        client.send(request).await?;
    }
    records::send(client).await
}

/// What a server answers, by question.
async fn ask(client: &Client, telemetry: &Telemetry) -> Result<Vec<(String, Value)>> {
    let mut answers = Vec::with_capacity(QUESTIONS.len() + 1);
    for question in QUESTIONS.iter().copied().chain([telemetry.growth.as_str()]) {
        let answer = client.api(question).await?;
        if let Some(data) = answer["data"].as_array() {
            assert!(!data.is_empty(), "{question} has no items: there is nothing to compare");
        }
        answers.push((question.to_owned(), answer));
    }
    Ok(answers)
}
