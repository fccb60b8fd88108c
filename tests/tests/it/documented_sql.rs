//! The SQLite file and the PostgreSQL database answer the plain schema that is documented, to any tool that opens them.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tallybook_tests::jobs::Jobs;
use tallybook_tests::otlp::{gauge, log, logs, metrics, span, text, traces};
use tallybook_tests::postgres::Database;
use tallybook_tests::setup::Setup;
use tallybook_tests::tools::sqlite3;

use crate::records;

/// The documented views, and their order.
const VIEWS: &[(&str, &str)] = &[
    ("services", "name"),
    ("metrics_metadata", "service_id, name"),
    ("spans_metadata", "service_id, name"),
    ("logs_metadata", "service_id, severity"),
    ("body_templates", "service_id, severity, template"),
    ("key_metadata", "service_id, signal, name, scope, key"),
    ("pings", "target, ts"),
    ("ping_metadata", "target, ts"),
    ("ping_rollups", "resolution, target, ts"),
    ("executions", "id"),
    ("steps", "execution_id, step_index"),
    ("annotations", "execution_id, annotation_index"),
    ("artifacts", "execution_id, artifact_index"),
    ("ticks", "symbol, timestamp, bid"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_views_have_the_same_columns_and_answers_in_sqlite_and_postgresql() -> Result<()> {
    let labels = |at: u32| vec![text("zone", "a"), text("user.id", format!("user_{at}"))];
    let metric = metrics("checkout", vec![gauge("queue.length", (0..8).map(labels).collect())]);
    let mut named = span("GET /items");
    named.attributes = vec![text("http.route", "/items")];
    let spans = traces("checkout", vec![named, span("GET /items"), span("POST /items")]);
    let lines = logs("checkout", (0..3).map(|at| log(format!("user {at} logged in"))).chain([log("cold")]).collect());
    let database = Database::new()?;
    let postgres = Setup::new()?.with("USE_DB", "postgres").with("DATABASE_URL", &database.url());
    let sqlite = Setup::new()?;
    for setup in [&sqlite, &postgres] {
        let server = setup.start().await?;
        server.send(&metric).await?;
        server.send(&spans).await?;
        server.send(&lines).await?;
        records::send(&server).await?;
        server.stop().await?;
    }

    for (view, order) in VIEWS {
        let day = sqlite.data_dir().join("ticks/2026/11/ticks_2026-11-24.db");
        let file = if *view == "ticks" { day } else { sqlite.database() };
        let columns = |rows: Vec<Value>| rows.iter().map(|row| row["name"].clone()).collect::<Vec<_>>();
        let columns = columns(sqlite3(&file, &format!("SELECT name FROM pragma_table_info('{view}')"))?);
        let in_postgres = format!(
            "SELECT coalesce(jsonb_agg(column_name::text ORDER BY ordinal_position), '[]')
             FROM information_schema.columns WHERE table_name = '{view}'"
        );
        let parse = |lines: Vec<String>| serde_json::from_str::<Vec<Value>>(&lines.concat()).context(*view);
        assert_eq!(columns, parse(database.ask(&in_postgres)?)?, "{view}");
        let names: Vec<&str> = columns.iter().filter_map(Value::as_str).collect();
        // Bytes as PostgreSQL writes them.
        let selected = names.join(", ").replace("sketch", r"'\x' || lower(hex(sketch)) AS sketch");
        let found = sqlite3(&file, &format!("SELECT {selected} FROM {view} ORDER BY {order}"))?;
        let rows = format!("SELECT jsonb_agg(to_jsonb(v)) FROM (SELECT * FROM {view} ORDER BY {order}) AS v");
        let expected = parse(database.ask(&rows)?)?;
        assert!(!found.is_empty() && found.len() == expected.len(), "{view}: {} and {}", found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            for column in &names {
                let (found, expected) = (&found[*column], &expected[*column]);
                assert!(same(view, column, found, expected), "{view}.{column}: {found} and {expected}");
            }
        }
    }
    Ok(())
}

/// Whether a value means the same in both: SQLite has no booleans, times and JSON of its own.
fn same(view: &str, column: &str, sqlite: &Value, postgres: &Value) -> bool {
    match (sqlite, postgres) {
        // A tick arrives in each at a time of its own.
        _ if (view, column) == ("ticks", "created_at") => sqlite.is_null() == postgres.is_null(),
        (Value::Number(found), Value::Bool(expected)) => found.as_u64() == Some(u64::from(*expected)),
        (Value::Number(found), Value::Number(expected)) => {
            let [found, expected] = [found, expected].map(|number| number.as_f64().unwrap_or(f64::NAN));
            (found - expected).abs() <= expected.abs() * 1e-9
        }
        (Value::String(found), Value::Array(_) | Value::Object(_)) => {
            serde_json::from_str::<Value>(found).is_ok_and(|found| found == *postgres)
        }
        (found, Value::String(expected)) if column.ends_with("_at") || column.ends_with("_seen") => {
            moment(found).is_some_and(|found| Some(found) == moment(&Value::String(expected.clone())))
        }
        _ => sqlite == postgres,
    }
}

/// The millisecond of a time: a number of nanoseconds, or RFC 3339.
fn moment(time: &Value) -> Option<i64> {
    match time {
        Value::Number(nanoseconds) => Some(nanoseconds.as_i64()?.div_euclid(1_000_000)),
        Value::String(text) => Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond()),
        _ => None,
    }
}

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite3_reads_what_jobs_did_while_the_server_runs() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    let jobs = Jobs::beside(&setup)?;
    let script = "echo 'STEP_START:build {jobs:4}'; echo made > out.txt; echo ARTIFACT:out.txt:What was made
        echo META:rows:7; echo STEP_COMPLETE:build; echo STEP_START:test; echo STEP_ERROR:one failed
        echo ::warning::old; exit 3";
    jobs.run(&["--name", "nightly", "--tag", "team=search", "--env-allow", "LANG", "--keep-artifacts", "1h"], script)?;

    let query = |sql: &str| sqlite3(&setup.database(), sql);
    let executions = query(
        "SELECT name, command ->> 0 AS program, working_directory, status, exit_code, error_message, environment, user_name,
            tags, total_steps, completed_steps, current_step_index, metadata, length(id) AS id_length,
            created_at GLOB '20??-??-??T??:??:??.???Z' AND created_at <= started_at AND started_at <= completed_at AS in_order
         FROM executions",
    )?;
    assert_eq!(
        executions,
        [json!({
            "name": "nightly", "program": "sh", "working_directory": std::fs::canonicalize(jobs.home())?,
            "status": "failed", "exit_code": 3, "error_message": "the command ended with 3", "environment": "{}",
            "user_name": null, "tags": r#"{"team":"search"}"#, "total_steps": 2, "completed_steps": 2,
            "current_step_index": null, "metadata": r#"{"rows":"7"}"#, "id_length": 36, "in_order": 1,
        })]
    );
    let steps = query(
        "SELECT e.name AS of, step_index, parent_index, s.name, s.status, parameters, stop_on_error, s.error_message,
            s.started_at <= s.completed_at AND duration_ms >= 0 AS in_order, first_line, last_line
         FROM steps s JOIN executions e ON e.id = s.execution_id ORDER BY step_index",
    )?;
    let step = |index: u64, name: &str, status: &str, parameters: &str, error: Option<&str>, lines: (u64, u64)| {
        json!({ "of": "nightly", "step_index": index, "parent_index": null, "name": name, "status": status,
            "parameters": parameters, "stop_on_error": 0, "error_message": error, "in_order": 1,
            "first_line": lines.0, "last_line": lines.1 })
    };
    assert_eq!(
        steps,
        [
            step(0, "build", "completed", r#"{"jobs":4}"#, None, (1, 4)),
            step(1, "test", "failed", "{}", Some("one failed"), (5, 6)),
        ]
    );
    let artifacts = query(
        "SELECT artifact_index, path, description, kind, size, sha256, mime_type, stored = sha256 AS is_stored,
            created_at < expires_at AS in_order FROM artifacts",
    )?;
    let sha256 = artifacts[0]["sha256"].as_str().unwrap_or_default();
    assert_eq!(std::fs::read(setup.data_dir().join("artifacts").join(&sha256[..2]).join(sha256))?, b"made\n");
    assert_eq!(
        artifacts,
        [json!({ "artifact_index": 0, "path": "out.txt", "description": "What was made", "kind": "file", "size": 5,
            "sha256": sha256, "mime_type": "text/plain; charset=utf-8", "is_stored": 1, "in_order": 1 })]
    );
    let annotations = query("SELECT annotation_index, level, message, step_index, line FROM annotations")?;
    assert_eq!(
        annotations,
        [json!({ "annotation_index": 0, "level": "warning", "message": "old", "step_index": null, "line": 7 })]
    );
    server.stop().await
}
