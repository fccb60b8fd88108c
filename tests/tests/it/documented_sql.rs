//! The SQLite file answers the plain schema that is documented, to any tool that opens it.

use anyhow::Result;
use serde_json::{Value, json};
use tallybook_tests::otlp::{gauge, log, logs, metrics, span, text, traces};
use tallybook_tests::setup::Setup;
use tallybook_tests::tools::sqlite3;

#[tokio::test]
async fn sqlite3_reads_the_documented_views_while_the_server_runs() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    let labels = |at: u32| vec![text("zone", "a"), text("user.id", format!("user_{at}"))];
    server.send(&metrics("checkout", vec![gauge("queue.length", (0..8).map(labels).collect())])).await?;
    let mut named = span("GET /items");
    named.attributes = vec![text("http.route", "/items")];
    server.send(&traces("checkout", vec![named, span("GET /items")])).await?;
    let records = (0..3).map(|at| log(format!("user {at} logged in"))).chain([log("cache is cold")]);
    server.send(&logs("checkout", records.collect())).await?;
    server.send(&logs("billing", vec![log("user 7 logged in")])).await?;

    let query = |sql: &str| sqlite3(&setup.database(), sql);
    assert_eq!(
        query("SELECT name FROM services ORDER BY name")?,
        [json!({ "name": "billing" }), json!({ "name": "checkout" })]
    );
    let of_checkout = "service_id = (SELECT id FROM services WHERE name = 'checkout')";
    let metric = query(&format!(
        "SELECT name, type, label_keys, resource_keys, sample_count FROM metrics_metadata WHERE {of_checkout}"
    ))?;
    assert_eq!(
        metric,
        [json!({
            "name": "queue.length",
            "type": "gauge",
            "label_keys": r#"["user.id","zone"]"#,
            "resource_keys": r#"["host.name","service.name"]"#,
            "sample_count": 8,
        })]
    );
    let spans =
        query(&format!("SELECT name, attr_keys, resource_keys, sample_count FROM spans_metadata WHERE {of_checkout}"))?;
    assert_eq!(
        spans,
        [json!({
            "name": "GET /items",
            "attr_keys": r#"["http.route"]"#,
            "resource_keys": r#"["host.name","service.name"]"#,
            "sample_count": 2,
        })]
    );
    let severities = query(&format!(
        "SELECT severity, attr_keys, resource_keys, sample_count FROM logs_metadata WHERE {of_checkout}"
    ))?;
    assert_eq!(
        severities,
        [json!({
            "severity": "INFO",
            "attr_keys": "[]",
            "resource_keys": r#"["host.name","service.name"]"#,
            "sample_count": 4,
        })]
    );
    let templates = query(&format!(
        "SELECT severity, template, example, count, percentage FROM body_templates WHERE {of_checkout} ORDER BY count DESC"
    ))?;
    assert_eq!(
        templates,
        [
            json!({ "severity": "INFO", "template": "user <*> logged in", "example": "user 0 logged in",
                "count": 3, "percentage": 75.0 }),
            json!({ "severity": "INFO", "template": "cache is cold", "example": "cache is cold",
                "count": 1, "percentage": 25.0 }),
        ]
    );
    let keys = query(
        "SELECT scope, key, count, percentage, cardinality_estimate, length(sketch) > 0 AS has_sketch FROM key_metadata \
         WHERE name = 'queue.length' ORDER BY scope, key",
    )?;
    let row = |scope: &str, key: &str, cardinality: u64| -> Value {
        json!({ "scope": scope, "key": key, "count": 8, "percentage": 100.0, "cardinality_estimate": cardinality,
            "has_sketch": 1 })
    };
    assert_eq!(
        keys,
        [
            row("attribute", "user.id", 8),
            row("attribute", "zone", 1),
            row("resource", "host.name", 1),
            row("resource", "service.name", 1),
        ]
    );
    server.stop().await
}
