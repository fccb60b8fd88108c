//! The documented views, as the plain tools read them.

use std::sync::Arc;

use tallybook_core::{
    ALL_SERVICES, AttributeKey, CatalogueDelta, Log, Metric, MetricType, Scope, Severity, Signal, Sketch, Span,
    Template, Timestamp,
};

use crate::support::{Sender, open, plain_rows, service};

fn metric(service: &str) -> Metric {
    Metric {
        service: service.into(),
        name: "http.requests".into(),
        metric_type: MetricType::Sum,
        unit: Some("1".into()),
        description: None,
        temporality: None,
        monotonic: Some(true),
        bounds: None,
        quantiles: None,
        scope_name: None,
        scope_version: None,
        sample_count: 8,
        active_series: 0,
        first_seen: Timestamp(10),
        last_seen: Timestamp(20),
        series: Arc::new(Sketch::of(1)),
    }
}

fn span(service: &str) -> Span {
    Span {
        service: service.into(),
        name: "GET /cart".into(),
        pattern: "GET /cart".into(),
        scope_name: None,
        scope_version: None,
        sample_count: 5,
        kind_unspecified: 0,
        kind_internal: 0,
        kind_server: 5,
        kind_client: 0,
        kind_producer: 0,
        kind_consumer: 0,
        status_unset: 4,
        status_ok: 0,
        status_error: 1,
        events: 0,
        links: 0,
        first_seen: Timestamp(10),
        last_seen: Timestamp(20),
    }
}

fn log(service: &str) -> Log {
    Log {
        service: service.into(),
        severity: Severity::Error,
        sample_count: 10,
        body_string: 10,
        body_kvlist: 0,
        body_array: 0,
        body_other: 0,
        first_seen: Timestamp(10),
        last_seen: Timestamp(20),
    }
}

fn key(signal: Signal, service: &str, name: &str, scope: Scope, key: &str, count: u64) -> AttributeKey {
    AttributeKey {
        signal,
        service: service.into(),
        name: name.into(),
        scope,
        key: key.into(),
        count,
        cardinality: 0,
        first_seen: Timestamp(10),
        last_seen: Timestamp(20),
        distinct_values: Arc::new(Sketch::of(7)),
    }
}

fn template(text: &str, count: u64) -> Template {
    Template {
        service: "shop".into(),
        severity: Severity::Error,
        template: text.into(),
        example: Some("no stock for 4".into()),
        count,
        first_seen: Timestamp(10),
        last_seen: Timestamp(20),
    }
}

fn catalogue() -> CatalogueDelta {
    let mut attribute_keys = Vec::new();
    for service in ["shop", ALL_SERVICES] {
        attribute_keys.extend([
            key(Signal::Metric, service, "http.requests", Scope::Attribute, "route", 8),
            key(Signal::Metric, service, "http.requests", Scope::Attribute, "method", 2),
            key(Signal::Metric, service, "http.requests", Scope::Resource, "host.name", 8),
            key(Signal::Span, service, "GET /cart", Scope::Attribute, "user.id", 1),
            key(Signal::Span, service, "GET /cart", Scope::Resource, "host.name", 5),
            key(Signal::Log, service, "ERROR", Scope::Attribute, "sku", 4),
            key(Signal::Log, service, "ERROR", Scope::Resource, "host.name", 10),
        ]);
    }
    CatalogueDelta {
        services: vec![service("shop")],
        metrics: [ALL_SERVICES, "shop"].map(metric).to_vec(),
        spans: [ALL_SERVICES, "shop"].map(span).to_vec(),
        logs: [ALL_SERVICES, "shop"].map(log).to_vec(),
        templates: vec![template("no stock for <*>", 4), template("no stock for 4", 0)],
        attribute_keys,
        ..CatalogueDelta::default()
    }
}

#[tokio::test]
async fn other_programs_read_the_plain_schema() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    Sender::new().commit(&store, catalogue()).await;
    for (sql, expected) in [
        ("SELECT id, name, first_seen, last_seen FROM services", vec!["shop | shop | 10 | 20"]),
        (
            "SELECT service_id, name, type, unit, description, label_keys, resource_keys, sample_count \
             FROM metrics_metadata",
            vec!["shop | http.requests | sum | 1 | null | [\"method\",\"route\"] | [\"host.name\"] | 8"],
        ),
        (
            "SELECT service_id, name, attr_keys, resource_keys, sample_count FROM spans_metadata",
            vec!["shop | GET /cart | [\"user.id\"] | [\"host.name\"] | 5"],
        ),
        (
            "SELECT service_id, severity, attr_keys, resource_keys, sample_count FROM logs_metadata",
            vec!["shop | ERROR | [\"sku\"] | [\"host.name\"] | 10"],
        ),
        (
            "SELECT service_id, severity, template, example, count, percentage FROM body_templates",
            vec!["shop | ERROR | no stock for <*> | no stock for 4 | 4 | 40.0"],
        ),
        (
            "SELECT service_id, signal, name, scope, key, sample_count, count, percentage, cardinality_estimate, sketch \
             FROM key_metadata ORDER BY signal, scope, key",
            vec![
                "shop | log | ERROR | attribute | sku | 4 | 4 | 40.0 | 1 | 16 bytes",
                "shop | log | ERROR | resource | host.name | 10 | 10 | 100.0 | 1 | 16 bytes",
                "shop | metric | http.requests | attribute | method | 2 | 2 | 25.0 | 1 | 16 bytes",
                "shop | metric | http.requests | attribute | route | 8 | 8 | 100.0 | 1 | 16 bytes",
                "shop | metric | http.requests | resource | host.name | 8 | 8 | 100.0 | 1 | 16 bytes",
                "shop | span | GET /cart | attribute | user.id | 1 | 1 | 20.0 | 1 | 16 bytes",
                "shop | span | GET /cart | resource | host.name | 5 | 5 | 100.0 | 1 | 16 bytes",
            ],
        ),
    ] {
        assert_eq!(plain_rows(folder.path(), sql), expected, "{sql}");
    }
}
