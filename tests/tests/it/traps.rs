//! What other catalogues got wrong.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use flate2::{Compression, write::GzEncoder};
use opentelemetry_proto::tonic::metrics::v1::{Histogram, HistogramDataPoint, Metric, metric::Data};
use opentelemetry_proto::tonic::trace::v1::Status;
use prost::Message as _;
use serde_json::Value;
use tallybook_tests::otlp::{Signal, gauge, log, logs, metrics, now, span, text, traces};
use tallybook_tests::server::Client;
use tallybook_tests::setup::Setup;
use tallybook_tests::tools::sqlite3;

async fn template_counts(client: &Client) -> Result<Vec<(String, u64)>> {
    let templates = client.list("logs/templates").await?;
    let pair = |item: &Value| Some((item["template"].as_str()?.to_owned(), item["count"].as_u64()?));
    templates.iter().map(pair).collect::<Option<_>>().context("a template and a count")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_and_grpc_count_the_same_template_together() -> Result<()> {
    const REQUESTS: u64 = 100;
    let setup = Setup::new()?;
    let server = setup.start().await?;
    let request = |at| logs("checkout", vec![log(format!("user {at} logged in")), log("cache is cold")]);
    let over_http = async {
        for at in 0..REQUESTS {
            server.send(&request(at)).await?;
        }
        anyhow::Ok(())
    };
    let over_grpc = async {
        for at in 0..REQUESTS {
            server.send_grpc(&request(at)).await?;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(over_http, over_grpc)?;
    let mut counts = template_counts(&server).await?;
    counts.sort();
    assert_eq!(counts, [("cache is cold".into(), 2 * REQUESTS), ("user <*> logged in".into(), 2 * REQUESTS)]);
    server.stop().await
}

#[tokio::test]
async fn template_counts_are_there_as_soon_as_the_request_is_answered() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    for round in 1..=30 {
        server.send(&logs("checkout", vec![log("cache is cold"); 7])).await?;
        assert_eq!(template_counts(&server).await?, [("cache is cold".into(), 7 * round)]);
    }
    server.stop().await
}

#[tokio::test]
async fn the_total_of_a_list_is_of_all_its_items() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    let names = (0..250).map(|at| gauge(format!("metric-{at:03}"), vec![vec![text("key", "value")]]));
    server.send(&metrics("checkout", names.collect())).await?;
    let page = server.api("metrics?limit=100").await?;
    assert_eq!((&page["total"], &page["has_more"]), (&250.into(), &true.into()));
    assert_eq!(page["data"].as_array().map(Vec::len), Some(100));
    let last = server.api("metrics?limit=100&offset=200").await?;
    assert_eq!((&last["total"], &last["has_more"], &last["next"]), (&250.into(), &false.into(), &Value::Null));
    assert_eq!(last["data"].as_array().map(Vec::len), Some(50));
    assert_eq!(server.list("metrics?contains=metric-1").await?.len(), 100);
    server.stop().await
}

#[tokio::test]
async fn cardinality_grows_when_each_request_brings_few_values() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    for at in 0..100 {
        server
            .send(&metrics("checkout", vec![gauge("queue", vec![vec![text("user.id", format!("user_{at}"))]])]))
            .await?;
    }
    let metric = server.api("metrics/queue").await?;
    assert_eq!(metric["label_keys"]["user.id"]["estimated_cardinality"], 100, "exact while small");
    assert_eq!(metric["active_series_otlp"], 100);
    server.stop().await
}

#[tokio::test]
async fn estimates_of_structured_names_scatter_as_the_sketch_says() -> Result<()> {
    const VALUES: u64 = 10_000;
    const BATCH: u64 = 1_000;
    /// Keys of each kind: one estimate may be off by chance, all of them together are not.
    const KEYS: u64 = 16;
    const STANDARD_ERROR: f64 = 0.023;
    let setup = Setup::new()?.with("USE_DB", "memory");
    let server = setup.start().await?;
    for first in (0..VALUES).step_by(BATCH as usize) {
        let labels = |at: u64| {
            let of_key = |key: u64| {
                [
                    text(&format!("user-{key}"), format!("user_{}", at + key * VALUES)),
                    text(&format!("pod-{key}"), format!("checkout-{key}-7d4b9c6f5-{at:05x}")),
                    text(&format!("ip-{key}"), format!("10.{key}.{}.{}", at / 250, at % 250)),
                ]
            };
            (0..KEYS).flat_map(of_key).collect()
        };
        server.send(&metrics("checkout", vec![gauge("queue", (first..first + BATCH).map(labels).collect())])).await?;
    }
    let metric = server.api("metrics/queue").await?;
    for kind in ["user", "pod", "ip"] {
        let mut squares = 0.0;
        for key in 0..KEYS {
            let estimate = &metric["label_keys"][format!("{kind}-{key}")]["estimated_cardinality"];
            let error = estimate.as_f64().context("a number")? / VALUES as f64 - 1.0;
            assert!(error.abs() < 3.0 * STANDARD_ERROR, "{kind}-{key}: {estimate} for {VALUES}");
            squares += error * error;
        }
        let scatter = (squares / KEYS as f64).sqrt();
        assert!(scatter < 1.5 * STANDARD_ERROR, "{kind}: {scatter}");
    }
    server.stop().await
}

#[tokio::test]
async fn grpc_takes_gzip() -> Result<()> {
    let setup = Setup::new()?.with("USE_DB", "memory");
    let server = setup.start().await?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&logs("checkout", vec![log("cache is cold")]).encode_to_vec())?;
    assert_eq!(server.call(Signal::Logs, Some("gzip"), &encoder.finish()?).await?.grpc_code()?, 0);
    assert_eq!(template_counts(&server).await?, [("cache is cold".into(), 1)]);
    server.stop().await
}

#[tokio::test]
async fn filters_by_cardinality_find_what_there_is() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    let labels = |at: u32| {
        let key = |values: u32| text(&format!("key-of-{values}"), format!("value {}", at % values));
        [1, 5, 20, 100].map(key).to_vec()
    };
    server.send(&metrics("checkout", vec![gauge("queue", (0..100).map(labels).collect())])).await?;
    let keys = async |filter: &str| -> Result<Vec<String>> {
        let items = server.list(&format!("attributes?scope=attribute&{filter}")).await?;
        Ok(items.iter().filter_map(|item| item["key"].as_str().map(str::to_owned)).collect())
    };
    assert_eq!(keys("min_cardinality=20&sort=cardinality&order=desc").await?, ["key-of-100", "key-of-20"]);
    assert_eq!(keys("max_cardinality=5").await?, ["key-of-1", "key-of-5"]);
    assert_eq!(keys("min_cardinality=5&max_cardinality=20").await?, ["key-of-20", "key-of-5"]);
    server.stop().await
}

#[tokio::test]
async fn resource_keys_that_are_always_there_have_100_percent() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    // Requests of different sizes: a count per request or per resource would not come to 100.
    for size in [1, 7, 40] {
        server.send(&logs("checkout", vec![log("cache is cold"); size])).await?;
        server.send(&traces("checkout", vec![span("GET /"); size])).await?;
        server.send(&metrics("checkout", vec![gauge("queue", vec![Vec::new(); size])])).await?;
    }
    for thing in ["logs/INFO", "spans/GET%20%2F", "metrics/queue"] {
        let keys = &server.api(thing).await?["resource_keys"];
        for key in ["service.name", "host.name"] {
            assert_eq!((&keys[key]["count"], &keys[key]["percentage"]), (&48.into(), &100.0.into()), "{thing}: {key}");
        }
    }
    server.stop().await
}

#[tokio::test]
async fn status_codes_and_bounds_follow_later_requests() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    for (round, bounds) in [(0, vec![1.0, 2.0]), (1, vec![1.0, 2.0, 4.0]), (2, vec![0.5, 1.0, 2.0, 4.0])] {
        let mut span = span("GET /");
        span.status = Some(Status { code: round, ..Status::default() });
        server.send(&traces("checkout", vec![span])).await?;
        server.send(&metrics("checkout", vec![histogram(&bounds)])).await?;
        let metric = server.api("metrics/duration").await?;
        assert_eq!(metric["bounds"], serde_json::json!(bounds));
        // The bounds, +Inf, _sum and _count.
        assert_eq!(metric["active_series_prometheus"], bounds.len() + 3);
    }
    let span = server.api("spans/GET%20%2F").await?;
    assert_eq!(span["status_codes"], serde_json::json!({ "UNSET": 1, "OK": 1, "ERROR": 1 }));
    server.stop().await
}

fn histogram(bounds: &[f64]) -> Metric {
    let point = HistogramDataPoint {
        time_unix_nano: now(),
        count: 1,
        sum: Some(1.0),
        bucket_counts: vec![0; bounds.len() + 1],
        explicit_bounds: bounds.to_vec(),
        ..HistogramDataPoint::default()
    };
    let data = Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: 2 });
    Metric { name: "duration".into(), data: Some(data), ..Metric::default() }
}

#[tokio::test]
async fn the_number_of_a_severity_comes_before_its_text() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    let record = |number, severity: &str| {
        let mut record = log("cache is cold");
        (record.severity_number, record.severity_text) = (number, severity.to_owned());
        record
    };
    let records = vec![record(17, "INFO"), record(0, "wArNiNg"), record(0, "debug"), record(0, ""), record(21, "")];
    server.send(&logs("checkout", records)).await?;
    let mut severities: Vec<String> =
        server.list("logs").await?.iter().filter_map(|item| item["severity"].as_str().map(str::to_owned)).collect();
    severities.sort();
    assert_eq!(severities, ["DEBUG", "ERROR", "FATAL", "UNSPECIFIED", "WARN"]);
    server.stop().await
}

#[tokio::test]
async fn the_rows_at_rest_are_of_names_and_not_of_records() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    // The same moment for all, so that no new hour begins.
    let record = log("cache is cold");
    let rows = || -> Result<u64> {
        let tables = sqlite3(&setup.database(), "SELECT name FROM sqlite_schema WHERE type = 'table'")?;
        let count = |table: &Value| -> Result<u64> {
            let table = table["name"].as_str().context("a name")?;
            let count = sqlite3(&setup.database(), &format!("SELECT count(*) AS rows FROM \"{table}\""))?;
            count[0]["rows"].as_u64().context("a number")
        };
        tables.iter().map(count).sum()
    };
    server.send(&logs("checkout", vec![record.clone()])).await?;
    let before = rows()?;
    assert!(before > 0);
    for _ in 0..10 {
        server.send(&logs("checkout", vec![record.clone(); 1_000])).await?;
    }
    assert_eq!(rows()?, before);
    server.stop().await
}
