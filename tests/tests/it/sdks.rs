//! OpenTelemetry's own SDKs are understood. Each sends the same shop, see `python/shop.py` and [`rust_sdk`].

mod rust_sdk;

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use tallybook_tests::server::Client;
use tallybook_tests::setup::Setup;
use tallybook_tests::tools;

#[tokio::test]
async fn python_over_grpc_is_understood() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    run_python_shop("grpc", &format!("http://{}", server.addresses.otlp_grpc)).await?;
    is_understood(&server, "python").await?;
    server.stop().await
}

#[tokio::test]
async fn python_over_http_is_understood() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    run_python_shop("http", &format!("http://{}", server.addresses.otlp_http)).await?;
    is_understood(&server, "python").await?;
    server.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rust_over_grpc_is_understood() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    rust_sdk::run_shop(rust_sdk::Exporters::grpc(&format!("http://{}", server.addresses.otlp_grpc))?).await?;
    is_understood(&server, "rust").await?;
    server.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rust_over_http_is_understood() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    rust_sdk::run_shop(rust_sdk::Exporters::http(&format!("http://{}", server.addresses.otlp_http))?).await?;
    is_understood(&server, "rust").await?;
    server.stop().await
}

async fn run_python_shop(protocol: &str, endpoint: &str) -> Result<()> {
    let mut command = tools::python()?;
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python/shop.py")).args([protocol, endpoint]);
    tools::run(command).await.map(drop)
}

/// Checks that the API tells exactly what a shop sends.
async fn is_understood(client: &Client, language: &str) -> Result<()> {
    let services = client.list("services").await?;
    assert_eq!(services.len(), 1, "{services:?}");
    let service = &services[0];
    assert_eq!(service["name"], "shop");
    assert_eq!([&service["spans"], &service["metric_points"], &service["log_records"]], [10, 4, 10]);

    let span = client.api("spans/GET%20%2Fcart").await?;
    assert_eq!(span["sample_count"], 10);
    assert_eq!(span["services"], json!({ "shop": 10 }));
    assert_eq!(span["kinds"], json!({ "server": 10 }));
    assert_eq!(span["status_codes"], json!({ "UNSET": 8, "OK": 1, "ERROR": 1 }));
    assert_eq!(span["event_names"], json!({ "cache.miss": 3 }));
    assert_eq!(keys(&span["attribute_keys"]), [("http.route", 10, 100.0, 1), ("user.id", 10, 100.0, 10)]);
    assert_eq!(keys(&span["event_keys"]), [("cache.key", 3, 30.0, 3)]);
    has_resource_keys(&span, language);

    let orders = client.api("metrics/shop.orders").await?;
    assert_eq!([&orders["type"], &orders["temporality"], &orders["unit"]], ["sum", "cumulative", "{order}"]);
    assert_eq!(orders["description"], "Orders placed.");
    assert_eq!(orders["monotonic"], true);
    assert_eq!(keys(&orders["label_keys"]), [("region", 2, 100.0, 2)]);
    assert_eq!(series(&orders), [2, 2, 2]);
    has_resource_keys(&orders, language);

    let duration = client.api("metrics/shop.duration").await?;
    assert_eq!(duration["type"], "histogram");
    assert_eq!(duration["bounds"], json!([0.1, 1.0]));
    // Two bounds, +Inf, _sum and _count.
    assert_eq!(series(&duration), [1, 1, 5]);

    let queue = client.api("metrics/shop.queue").await?;
    assert_eq!(queue["type"], "gauge");
    assert_eq!(series(&queue), [1, 1, 1]);

    let warnings = client.api("logs/WARN").await?;
    assert_eq!(warnings["sample_count"], 10);
    assert_eq!(warnings["bodies"]["string"], 10);
    assert!(keys(&warnings["attribute_keys"]).contains(&("region", 10, 100.0, 2)), "{warnings}");
    has_resource_keys(&warnings, language);

    let templates = client.list("logs/templates").await?;
    assert_eq!(templates.len(), 1, "{templates:?}");
    let template = &templates[0];
    assert_eq!([&template["service"], &template["severity"]], ["shop", "WARN"]);
    assert_eq!([&template["template"], &template["example"]], ["user <*> logged in", "user 0 logged in"]);
    assert_eq!((&template["count"], &template["percentage"]), (&10.into(), &100.0.into()));
    Ok(())
}

/// Key, count, percentage and distinct values.
fn keys(keys: &Value) -> Vec<(&str, u64, f64, u64)> {
    let number = |key: &Value, name: &str| key[name].as_u64().unwrap_or_default();
    keys.as_object()
        .into_iter()
        .flatten()
        .map(|(name, key)| {
            let percentage = key["percentage"].as_f64().unwrap_or_default();
            (name.as_str(), number(key, "count"), percentage, number(key, "estimated_cardinality"))
        })
        .collect()
}

/// Data points, series of OTLP and series of Prometheus.
fn series(metric: &Value) -> [u64; 3] {
    ["sample_count", "active_series_otlp", "active_series_prometheus"]
        .map(|name| metric[name].as_u64().unwrap_or_default())
}

/// What an SDK says on every resource, every record carries.
fn has_resource_keys(item: &Value, language: &str) {
    let records = item["sample_count"].as_u64().unwrap_or_default();
    let keys = keys(&item["resource_keys"]);
    let names =
        ["service.name", "service.version", "telemetry.sdk.language", "telemetry.sdk.name", "telemetry.sdk.version"];
    for name in names {
        assert!(keys.contains(&(name, records, 100.0, 1)), "{language}: {name} is not on all {records}: {keys:?}");
    }
}
