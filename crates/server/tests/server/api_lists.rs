//! What all lists have in common: pages, orders, filters, and strict parameters.

use std::sync::Arc;

use serde_json::{Value, json};
use tallybook_core::Timestamp;

use crate::catalogue::Catalogue;
use crate::running::{Running, Setup};
use crate::stores::Watched;

/// Every list with all of its orders.
const LISTS: [(&str, &[&str]); 11] = [
    ("/api/v1/services", &["name", "metric_points", "spans", "log_records", "first_seen", "last_seen"]),
    ("/api/v1/metrics", &["name", "sample_count", "active_series", "first_seen", "last_seen"]),
    ("/api/v1/spans", &["name", "sample_count", "errors", "first_seen", "last_seen"]),
    ("/api/v1/span-patterns", &["pattern", "name_count", "sample_count", "first_seen", "last_seen"]),
    ("/api/v1/logs", &["severity", "sample_count", "first_seen", "last_seen"]),
    ("/api/v1/logs/templates", &["count", "service", "first_seen", "last_seen"]),
    ("/api/v1/attributes", &["key", "cardinality", "count", "first_seen", "last_seen"]),
    ("/api/v1/cardinality/high?threshold=1", &["cardinality", "key_count"]),
    ("/api/v1/cardinality/high?threshold=5&service=cart&signal=metric", &["cardinality", "key_count"]),
    ("/api/v1/cardinality/complexity", &["score", "keys", "max_cardinality", "sum_cardinality"]),
    ("/api/v1/growth?from=2020-09-13T12:00:00Z&to=2020-09-13T13:00:00Z", &["growth", "after"]),
];

fn with(path: &str, query: &str) -> String {
    format!("{path}{}{query}", if path.contains('?') { '&' } else { '?' })
}

async fn shop() -> Running {
    let server = Running::start().await;
    Catalogue::shop().put_into(&*server.store).await;
    server
}

fn items(page: &Value) -> Vec<Value> {
    page["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn pages_that_follow_each_other_are_the_whole_list() {
    let server = shop().await;
    for (path, sorts) in LISTS {
        for sort in sorts {
            for order in ["asc", "desc"] {
                let path = with(path, &format!("sort={sort}&order={order}"));
                let whole = server.ok(&with(&path, "limit=1000")).await;
                let (all, total) = (items(&whole), whole["total"].as_u64().unwrap());
                assert!(total > 2 && all.len() as u64 == total, "{path}: {total}");
                assert_eq!((&whole["has_more"], &whole["next"]), (&json!(false), &Value::Null));

                let (mut followed, mut page) = (Vec::new(), server.ok(&with(&path, "limit=2")).await);
                loop {
                    followed.extend(items(&page));
                    assert_eq!((&page["total"], &page["limit"]), (&json!(total), &json!(2)), "{path}");
                    let Some(next) = page["next"].as_str() else { break };
                    assert_eq!(page["has_more"], true);
                    page = server.ok(&with(&path, &format!("limit=2&after={next}"))).await;
                }
                assert_eq!(followed, all, "{path}");

                let page = server.ok(&with(&path, "limit=2&offset=1")).await;
                assert_eq!((items(&page), &page["offset"]), (all[1..3].to_vec(), &json!(1)), "{path}");
                let end = server.ok(&with(&path, &format!("offset={total}"))).await;
                assert_eq!((items(&end), &end["total"]), (Vec::new(), &json!(total)), "{path}");
            }
        }
    }
}

#[tokio::test]
async fn one_order_is_the_other_turned_around() {
    let server = shop().await;
    for (path, sorts) in LISTS {
        for sort in sorts {
            let mut up = items(&server.ok(&with(path, &format!("sort={sort}&order=asc&limit=1000"))).await);
            let down = items(&server.ok(&with(path, &format!("sort={sort}&order=desc&limit=1000"))).await);
            up.reverse();
            assert_eq!(up, down, "{path} {sort}");
        }
    }
}

#[tokio::test]
async fn names_go_up_and_numbers_go_down_unless_told_otherwise() {
    let server = shop().await;
    let names = server.ok("/api/v1/metrics?limit=2").await;
    assert_eq!((&names["data"][0]["name"], &names["data"][1]["name"]), (&json!("a"), &json!("b")));
    let numbers = server.ok("/api/v1/attributes?sort=cardinality").await;
    assert_eq!(numbers["data"][0]["key"], "user/id");
}

#[tokio::test]
async fn a_list_that_is_empty_is_no_error() {
    let server = Running::start().await;
    for (path, _) in LISTS {
        let page = server.ok(path).await;
        let expected = json!({ "data": [], "total": 0, "limit": 100, "offset": 0, "has_more": false, "next": null });
        assert_eq!(page, expected, "{path}");
    }
}

#[tokio::test]
async fn parameters_are_read_strictly() {
    let server = Running::start().await;
    for (path, _) in LISTS {
        for query in [
            "limit=0",
            "limit=1001",
            "limit=-1",
            "limit=ten",
            "limit=",
            "limit=1&limit=2",
            "offset=-1",
            "offset=2147483648",
            "order=up",
            "sort=nothing",
            "after=!",
            "after=",
            "unknown=1",
            "=1",
            "Limit=1",
        ] {
            let answer = server.error(&with(path, query)).await;
            assert_eq!(answer, (400, "invalid_query".to_owned()), "{path} {query}");
        }
    }
    for path in [
        "/api/v1/metrics?type=counter",
        "/api/v1/metrics?service=",
        "/api/v1/metrics?min_series=-1",
        "/api/v1/metrics?min_series=9223372036854775808",
        "/api/v1/spans?kind=SERVER",
        "/api/v1/logs/templates?severity=info",
        "/api/v1/attributes?scope=both",
        "/api/v1/attributes?service=cart",
        "/api/v1/growth?from=yesterday",
        "/api/v1/growth?from=2024-01-02T00:00:00Z&to=2024-01-01T00:00:00Z",
        "/api/v1/metrics/up?limit=1",
        "/api/v1/stats?x=1",
        "/api/v1/health?x=1",
        "/metrics?x=1",
    ] {
        assert_eq!(server.error(path).await, (400, "invalid_query".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn an_error_names_the_parameter_and_what_it_may_be() {
    let server = Running::start().await;
    for (path, parts) in [
        ("/api/v1/metrics?min_count=many", &["min_count", "invalid digit"][..]),
        ("/api/v1/metrics?colour=red", &["colour", "service", "contains"]),
        ("/api/v1/attributes?sort=size", &["size", "cardinality"]),
        ("/api/v1/metrics?limit=2000", &["limit", "1000"]),
    ] {
        let message = server.get(path).await.body["error"]["message"].as_str().unwrap().to_owned();
        assert!(parts.iter().all(|part| message.contains(part)), "{path}: {message}");
    }
}

#[tokio::test]
async fn a_token_of_another_list_is_refused() {
    let server = shop().await;
    let next = server.ok("/api/v1/services?limit=1").await["next"].as_str().unwrap().to_owned();
    for path in ["/api/v1/metrics", "/api/v1/cardinality/high", "/api/v1/spans?sort=sample_count"] {
        let answer = server.error(&with(path, &format!("after={next}"))).await;
        assert_eq!(answer, (400, "invalid_query".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn a_page_costs_the_same_number_of_reads_however_long_it_is() {
    let store = Arc::new(Watched::default());
    let server = Setup::new().without_probes().store(store.clone()).start().await;
    Catalogue::shop().put_into(&*store).await;
    let reads = async |path: &str| {
        let before = store.reads();
        let page = server.ok(path).await;
        (store.reads() - before, items(&page).len())
    };
    for (path, _) in LISTS {
        let (reads_of_one, _) = reads(&with(path, "limit=1")).await;
        let (reads_of_all, length) = reads(&with(path, "limit=1000")).await;
        // A page of one may have nothing of a kind that is read apart.
        let same = reads_of_one..=reads_of_one + 1;
        assert!(length > 2 && same.contains(&reads_of_all), "{path}: {reads_of_one}, {reads_of_all} for {length}");
        assert!(reads_of_all <= 8, "{path}: {reads_of_all}");
    }
}

#[tokio::test]
async fn times_are_rfc_3339() {
    let server = shop().await;
    let service = server.ok("/api/v1/services").await["data"][0].clone();
    assert_eq!(service["first_seen"], "2020-09-13T12:26:40Z");
    assert!(Timestamp::parse(service["last_seen"].as_str().unwrap()).is_some());
}
