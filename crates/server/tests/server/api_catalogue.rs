//! What the API says of metrics, spans, logs, templates, attributes and services.

use serde_json::{Value, json};
use tallybook_core::{DAY, HOUR, MetricType, Severity, Signal, Template, Timestamp};

use crate::catalogue::{Catalogue, LONG_AGO};
use crate::running::Running;

async fn shop() -> Running {
    let server = Running::start().await;
    Catalogue::shop().put_into(&*server.store).await;
    server
}

async fn names(server: &Running, path: &str, field: &str) -> Vec<String> {
    let page = server.ok(path).await;
    page["data"].as_array().unwrap().iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_metric_has_its_keys_its_services_and_its_series() {
    let server = shop().await;
    let time = "2020-09-13T12:26:40Z";
    let expected = json!({
        "name": "http/server/duration",
        "type": "histogram",
        "unit": "ms",
        "description": null,
        "temporality": null,
        "monotonic": null,
        "bounds": [1.0],
        "quantiles": null,
        "scope_info": { "name": "lib", "version": null },
        "label_keys": { "pod": {
            "count": 100, "percentage": 66.67, "estimated_cardinality": 20, "first_seen": time, "last_seen": time
        } },
        "resource_keys": { "service.name": {
            "count": 100, "percentage": 66.67, "estimated_cardinality": 1, "first_seen": time, "last_seen": time
        } },
        "scope_keys": {},
        "sample_count": 150,
        "services": { "cart": 100, "mail": 50 },
        "active_series_otlp": 20,
        "active_series_prometheus": 100,
        "first_seen": time,
        "last_seen": time
    });
    for path in ["/api/v1/metrics/http/server/duration", "/api/v1/metrics/http%2Fserver%2Fduration"] {
        assert_eq!(server.ok(path).await, expected, "{path}");
    }
    assert_eq!(server.ok("/api/v1/metrics?contains=SERVER").await["data"], json!([expected]));

    let of_cart = server.ok("/api/v1/metrics/http/server/duration?service=cart").await;
    assert_eq!(of_cart["label_keys"]["pod"]["percentage"], json!(100.0));
    assert_eq!((&of_cart["services"], &of_cart["sample_count"]), (&json!({ "cart": 100 }), &json!(100)));
}

#[tokio::test]
async fn metrics_are_filtered() {
    let server = shop().await;
    assert_eq!(
        names(&server, "/api/v1/metrics?service=mail", "name").await,
        ["http/server/duration", "queue.length", "up"]
    );
    assert_eq!(names(&server, "/api/v1/metrics?type=histogram", "name").await, ["http/server/duration"]);
    assert_eq!(names(&server, "/api/v1/metrics?min_series=30", "name").await, ["c", "queue.length"]);
    assert_eq!(names(&server, "/api/v1/metrics?min_count=101&contains=.", "name").await, ["queue.length"]);
    assert!(names(&server, "/api/v1/metrics?service=nobody", "name").await.is_empty());
    assert_eq!(server.ok("/api/v1/metrics?service=mail").await["data"][2]["services"], json!({ "mail": 50 }));
}

#[tokio::test]
async fn a_span_has_its_kinds_status_codes_events_and_keys() {
    let server = shop().await;
    let span = server.ok("/api/v1/spans/GET%20/").await;
    assert_eq!(span["event_names"], json!({ "exception": 6 }));
    assert_eq!(span["event_keys"]["exception.type"]["percentage"], json!(50.0));
    assert_eq!(span["attribute_keys"]["http.route"]["percentage"], json!(100.0));
    let span = server.ok("/api/v1/spans/GET%20/a/2").await;
    assert_eq!((&span["kind"], &span["kinds"]), (&json!("server"), &json!({ "server": 7, "client": 3 })));
    assert_eq!(span["status_codes"], json!({ "UNSET": 7, "ERROR": 3 }));
    assert_eq!((&span["pattern"], &span["services"]), (&json!("GET /a/<*>"), &json!({ "front/end": 10 })));

    assert_eq!(names(&server, "/api/v1/spans?pattern=GET%20/a/%3C*%3E", "name").await, ["GET /a/1", "GET /a/2"]);
    assert_eq!(names(&server, "/api/v1/spans?kind=client&min_errors=2", "name").await, ["GET /a/1", "GET /a/2"]);
    assert_eq!(names(&server, "/api/v1/spans?service=front/end&contains=MAIL", "name").await, ["mail"]);
    assert_eq!(names(&server, "/api/v1/spans?min_count=10", "name").await, ["GET /", "GET /a/2"]);
}

#[tokio::test]
async fn span_patterns_count_their_names() {
    let server = shop().await;
    let page = server.ok("/api/v1/span-patterns?min_names=2").await;
    let pattern = &page["data"][0];
    assert_eq!((&page["total"], &pattern["pattern"]), (&json!(1), &json!("GET /a/<*>")));
    assert_eq!((&pattern["name_count"], &pattern["sample_count"]), (&json!(2), &json!(17)));
    assert_eq!(pattern["services"], json!({ "front/end": 17 }));
}

#[tokio::test]
async fn logs_are_by_severity_with_their_templates() {
    let server = shop().await;
    assert_eq!(server.ok("/api/v1/logs").await["total"], 7);
    for path in ["/api/v1/logs/INFO", "/api/v1/logs/info"] {
        let log = server.ok(path).await;
        assert_eq!((&log["severity"], &log["services"]), (&json!("INFO"), &json!({ "cart": 40, "mail": 10 })));
        assert_eq!(log["body_keys"]["message"]["percentage"], json!(16.0));
        assert_eq!((&log["event_names"], &log["bodies"]["string"]), (&json!({ "login": 2 }), &json!(50)));
        assert_eq!(log["body_templates"].as_array().unwrap().len(), 3);
    }
    let of_cart = server.ok("/api/v1/logs/info?service=cart").await;
    assert_eq!(of_cart["attribute_keys"]["user/id"]["percentage"], json!(100.0));
    assert_eq!(of_cart["body_templates"].as_array().unwrap().len(), 2);
    assert_eq!(names(&server, "/api/v1/logs?min_count=70", "severity").await, ["ERROR", "FATAL"]);
    assert_eq!(server.error("/api/v1/logs/loud").await, (404, "not_found".to_owned()));
}

#[tokio::test]
async fn templates_are_parts_of_their_service_and_severity() {
    let server = shop().await;
    let page = server.ok("/api/v1/logs/templates?severity=INFO").await;
    let of_template = |text: &str| {
        let found = page["data"].as_array().unwrap().iter().find(|item| item["template"] == text);
        found.unwrap().clone()
    };
    assert_eq!(page["total"], 3);
    let expected = json!({
        "service": "cart", "severity": "INFO", "template": "paid <*> with <*>", "example": null, "count": 20,
        "percentage": 50.0, "first_seen": "2020-09-13T12:26:40Z", "last_seen": "2020-09-13T12:26:40Z"
    });
    assert_eq!(of_template("paid <*> with <*>"), expected);
    assert_eq!(of_template("sent to <*>")["percentage"], json!(100.0));

    let top = server.ok("/api/v1/logs/templates?limit=2").await;
    assert_eq!((&top["data"][0]["count"], &top["data"][0]["severity"]), (&json!(35), &json!("FATAL")));
    assert_eq!(server.ok("/api/v1/logs/templates?service=mail").await["total"], 7);
    assert_eq!(server.ok("/api/v1/logs/templates?min_count=35").await["total"], 2);
    assert_eq!(server.ok("/api/v1/logs/templates?min_count=0&contains=became").await["total"], 0);
}

#[tokio::test]
async fn attributes_are_filtered_by_what_is_known_of_them() {
    let server = shop().await;
    let keys = async |query: &str| names(&server, &format!("/api/v1/attributes?{query}"), "key").await;
    assert_eq!(keys("signal=log").await, ["message", "user/id"]);
    assert_eq!(keys("scope=resource").await, ["service.name"]);
    assert_eq!(keys("min_cardinality=21&max_cardinality=30").await, ["http.route"]);
    assert_eq!(keys("min_count=200&sort=count").await, ["service.name", "pod", "user/id"]);
    assert_eq!(keys("contains=user/&signal=log").await, ["user/id"]);
    assert!(keys("signal=span&scope=resource").await.is_empty());
    let expected = json!({
        "key": "rare", "count": 25, "estimated_cardinality": 20, "signal_types": ["metric"], "scope": "attribute",
        "first_seen": "2020-09-13T12:26:40Z", "last_seen": "2020-09-13T12:26:40Z"
    });
    assert_eq!(server.ok("/api/v1/attributes?contains=rare").await["data"], json!([expected]));
}

#[tokio::test]
async fn an_attribute_shows_where_it_is_used() {
    let server = shop().await;
    let key = server.ok("/api/v1/attributes/user/id").await;
    assert_eq!((&key["key"], &key["count"], &key["uses_total"]), (&json!("user/id"), &json!(280), &json!(7)));
    assert_eq!((&key["signal_types"], &key["scopes"][0]["scope"]), (&json!(["log"]), &json!("attribute")));
    assert_eq!(key["uses"][0]["estimated_cardinality"], 50);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let server = shop().await;
    for path in [
        "/api/v1/metrics/none",
        "/api/v1/metrics/up?service=nobody",
        "/api/v1/spans/none",
        "/api/v1/attributes/none",
        "/api/v1/services/none/overview",
        "/api/v1/logs/nonsense",
        "/api/v1/nothing",
        "/api/v1",
        "/api/v2/metrics",
        "/",
    ] {
        assert_eq!(server.error(path).await, (404, "not_found".to_owned()), "{path}");
    }
    assert_eq!(server.error("/api/v1/metrics/%FF").await, (400, "invalid_path".to_owned()));
}

#[tokio::test]
async fn high_cardinality_lists_keys_and_metrics_together() {
    let server = shop().await;
    let page = server.ok("/api/v1/cardinality/high?threshold=30&limit=1000").await;
    let of_kind = |kind: &str| page["data"].as_array().unwrap().iter().filter(|item| item["kind"] == kind).count();
    assert_eq!((of_kind("metric"), of_kind("key")), (2, 4 + 7 + 3));
    assert_eq!((&page["data"][0]["key_name"], &page["data"][0]["key_scope"]), (&json!("user/id"), &json!("attribute")));
    let metrics = server.ok("/api/v1/cardinality/high?threshold=30&kind=metric").await;
    let expected = json!({
        "kind": "metric", "signal_type": "metric", "signal_name": "queue.length", "key_scope": null, "key_name": null,
        "estimated_cardinality": 30, "key_count": 150, "first_seen": "2020-09-13T12:26:40Z",
        "last_seen": "2020-09-13T12:26:40Z"
    });
    assert_eq!(metrics["data"][0], expected);
    assert_eq!(server.ok("/api/v1/cardinality/high?threshold=1&signal=span").await["total"], 5);
    assert_eq!(server.ok("/api/v1/cardinality/high?threshold=5&service=mail").await["total"], 3);
    assert_eq!(server.ok("/api/v1/cardinality/high").await["total"], 0);
}

#[tokio::test]
async fn complexity_is_keys_times_the_greatest_cardinality() {
    let server = shop().await;
    let page = server.ok("/api/v1/cardinality/complexity?signal=metric&threshold=3").await;
    let expected = json!({
        "signal_type": "metric", "signal_name": "up", "total_keys": 3, "attribute_key_count": 2, "resource_key_count": 1,
        "scope_key_count": 0, "event_key_count": 0, "link_key_count": 0, "body_key_count": 0, "max_cardinality": 20,
        "sum_cardinality": 31, "high_cardinality_count": 0, "complexity_score": 60, "estimated_series": 10
    });
    assert_eq!((&page["total"], &page["data"][0]), (&json!(1), &expected));
    let all = server.ok("/api/v1/cardinality/complexity?limit=1000").await;
    assert_eq!(all["total"], 7 + 4 + 7);
    assert_eq!(server.ok("/api/v1/cardinality/complexity?service=front/end").await["total"], 4);
}

#[tokio::test]
async fn growth_is_what_is_new_and_what_is_larger() {
    let server = Running::start().await;
    let now = Timestamp::now();
    let (then, later) = (now.earlier(5 * HOUR), now.earlier(HOUR));
    let mut catalogue = Catalogue::default();
    catalogue.service("cart", 1);
    catalogue.metric("cart", "grows", MetricType::Gauge, 10, 10);
    catalogue.metric("cart", "stays", MetricType::Gauge, 10, 10);
    catalogue.metric("cart", "is_new", MetricType::Gauge, 10, 10);
    for row in catalogue.0.metrics.iter_mut().filter(|row| row.name.as_ref() == "is_new") {
        (row.first_seen, row.last_seen) = (later, later);
    }
    catalogue.hour_of_metric(then, "cart", "grows", 4);
    catalogue.hour_of_metric(later, "cart", "grows", 9);
    catalogue.hour_of_metric(then, "cart", "stays", 9);
    catalogue.hour_of_metric(later, "cart", "stays", 9);
    catalogue.hour_of_metric(later, "cart", "is_new", 9);
    catalogue.hour_of_key(then, (Signal::Span, "cart", "GET /"), "user", 1);
    catalogue.hour_of_key(later, (Signal::Span, "cart", "GET /"), "user", 21);
    catalogue.hour_of_template(then, "cart", "paid <*>", 2);
    catalogue.hour_of_template(later, "cart", "paid <*>", 3);
    catalogue.put_into(&*server.store).await;

    let path = format!("/api/v1/growth?from={then}&to={}", later.hour().0.max(later.0));
    assert_eq!(server.error(&path).await.0, 400, "an integer has no unit");
    let path = format!("/api/v1/growth?from={then}&to={}", Timestamp(later.0 + 1));
    let page = server.ok(&path).await;
    let summary: Vec<Value> = page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| json!([item["change"], item["kind"], item["name"], item["before"], item["after"], item["growth"]]))
        .collect();
    let expected = [
        json!(["grew", "attribute_key", "GET /", 1, 21, 20]),
        json!(["new", "metric", "is_new", null, 10, 10]),
        json!(["grew", "metric", "grows", 4, 9, 5]),
        json!(["grew", "template", "INFO", 2, 3, 1]),
    ];
    assert_eq!(summary, expected);
    assert_eq!(page["data"][0]["key"], "user");
    for (filter, total) in
        [("kind=metric", 2), ("change=new", 1), ("change=grew&kind=template", 1), ("service=mail", 0)]
    {
        assert_eq!(server.ok(&format!("{path}&{filter}")).await["total"], total, "{filter}");
    }
}

#[tokio::test]
async fn an_overview_shows_what_stands_out_and_what_is_new() {
    let server = Running::start().await;
    let mut shop = Catalogue::shop();
    let recent = Timestamp::now().earlier(DAY / 2);
    shop.0.templates.push(Template {
        service: "cart".into(),
        severity: Severity::Warn,
        template: "never seen before".into(),
        example: None,
        count: 1,
        first_seen: recent,
        last_seen: recent,
    });
    shop.put_into(&*server.store).await;
    let overview = server.ok("/api/v1/services/cart/overview").await;
    assert_eq!((&overview["service_name"], &overview["log_records"]), (&json!("cart"), &json!(30)));
    let names = json!({ "metrics": 7, "spans": 0, "span_patterns": 0, "attribute_keys": 23, "templates": 15 });
    assert_eq!(overview["names"], names);
    assert_eq!(overview["severities"]["FATAL"], 70);
    assert_eq!(overview["top_keys"].as_array().unwrap().len(), 10);
    assert_eq!(overview["top_keys"][0]["key_name"], "user/id");
    assert_eq!(overview["top_metrics"][0]["active_series_otlp"], 30);
    assert_eq!(overview["top_templates"][0]["count"], 35);
    let new = overview["new_in_last_day"].as_array().unwrap();
    assert_eq!((new.len(), &new[0]["template"]), (1, &json!("never seen before")));
    let other = server.ok("/api/v1/services/front%2Fend/overview").await;
    assert_eq!(other["top_spans"][0]["sample_count"], 10);
    assert_eq!(other["first_seen"], LONG_AGO.to_string());
}
