//! What is past a budget is counted under the overflow: nothing is lost, and memory stays bounded.

use opentelemetry_proto::tonic::trace::v1::Span as ProtoSpan;
use opentelemetry_proto::tonic::trace::v1::span::Event as ProtoEvent;
use tallybook_core::{ALL_SERVICES, AttributeKey, Event, OVERFLOW, Scope, Service, Span, Template};
use tallybook_telemetry::{FoldOptions, Overflowed};

use crate::support::{Catalogue, SHOP, gauge, log, logs, metrics, point, span, spans};

fn small() -> FoldOptions {
    FoldOptions {
        max_services: 2,
        max_metrics_per_service: 3,
        max_spans_per_service: 3,
        max_keys_per_name: 2,
        max_events_per_name: 2,
        max_templates_per_miner: 2,
        ..FoldOptions::default()
    }
}

#[test]
fn services_past_the_budget_are_one_service() {
    let mut catalogue = Catalogue::new(small());
    for service in ["a", "b", "c", "d", "a", "c"] {
        catalogue.spans(&spans(&[("service.name", service)], vec![span("x", &[])]));
    }
    let rows: Vec<_> = catalogue.rows::<Service>().iter().map(|row| (row.name.to_string(), row.spans)).collect();
    assert_eq!(rows, [(OVERFLOW.to_owned(), 3), ("a".to_owned(), 2), ("b".to_owned(), 1)]);
    let stats = catalogue.fold.stats();
    assert_eq!((stats.services, stats.overflowed.services), (2, 3));
}

#[test]
fn names_past_the_budget_of_a_service_are_one_name() {
    let mut catalogue = Catalogue::new(small());
    for number in [0, 1, 2, 3, 4, 0] {
        let name = format!("name {number}");
        catalogue.spans(&spans(SHOP, vec![span(&name, &[("key", &name)])]));
        catalogue.metrics(&metrics(SHOP, vec![gauge(&name, vec![point(&[]), point(&[])])]));
    }
    catalogue.spans(&spans(&[("service.name", "cart")], vec![span("name 9", &[])]));
    let rows = catalogue.rows::<Span>();
    let rows: Vec<_> =
        rows.iter().filter(|row| &*row.service == "shop").map(|row| (&*row.name, row.sample_count)).collect();
    assert_eq!(rows, [(OVERFLOW, 2), ("name 0", 2), ("name 1", 1), ("name 2", 1)]);
    assert_eq!(catalogue.key("shop", OVERFLOW, Scope::Attribute, "key").cardinality, 2);
    let stats = catalogue.fold.stats();
    assert_eq!((stats.spans, stats.metrics, stats.overflowed.names), (4, 3, 4));
}

#[test]
fn names_of_all_services_share_a_budget() {
    let mut catalogue = Catalogue::new(FoldOptions { max_names_total: 3, ..FoldOptions::default() });
    for service in ["a", "b", "c"] {
        let service = &[("service.name", service)];
        catalogue.metrics(&metrics(service, vec![gauge("m", vec![point(&[])])]));
        catalogue.spans(&spans(service, vec![span("s", &[])]));
    }
    let names = |rows: &[(&str, &str)]| rows.iter().map(|(a, b)| format!("{a} {b}")).collect::<Vec<_>>();
    let mut known: Vec<_> =
        catalogue.rows::<Span>().iter().map(|row| format!("{} {}", row.service, row.name)).collect();
    known.retain(|name| !name.starts_with(' '));
    assert_eq!(known, names(&[("a", "s"), ("b", OVERFLOW), ("c", OVERFLOW)]));
}

#[test]
fn keys_past_the_budget_of_a_name_and_scope_are_one_key() {
    let mut catalogue = Catalogue::new(small());
    let record = span("x", &[("a", "1"), ("b", "1"), ("c", "1"), ("d", "2")]);
    catalogue.spans(&spans(&[("service.name", "shop"), ("r", ""), ("s", "")], vec![record, span("x", &[("e", "3")])]));
    let keys = catalogue.rows::<AttributeKey>();
    let of = |scope| {
        let rows = keys.iter().filter(move |row| &*row.service == "shop" && row.scope == scope);
        rows.map(|row| (&*row.key, row.count, row.cardinality)).collect::<Vec<_>>()
    };
    // Two records have a key too many; how many keys that were is in the stats.
    assert_eq!(of(Scope::Attribute), [(OVERFLOW, 2, 3), ("a", 1, 1), ("b", 1, 1)]);
    assert_eq!(of(Scope::Resource), [(OVERFLOW, 2, 1), ("r", 2, 1), ("service.name", 2, 1)]);
    assert_eq!(catalogue.fold.stats().overflowed.keys, 4);
}

#[test]
fn keys_of_all_names_share_a_budget() {
    let mut catalogue = Catalogue::new(FoldOptions { max_keys_total: 3, ..FoldOptions::default() });
    catalogue.spans(&spans(&[], vec![span("x", &[("a", ""), ("b", "")]), span("y", &[("a", ""), ("b", "")])]));
    assert_eq!(catalogue.fold.stats().keys, 3);
    assert_eq!(catalogue.key("unknown_service", "y", Scope::Attribute, "a").count, 1);
    assert_eq!(catalogue.key("unknown_service", "y", Scope::Attribute, OVERFLOW).count, 1);
}

#[test]
fn events_past_the_budget_of_a_name_are_one_event() {
    let mut catalogue = Catalogue::new(small());
    let event = |name: &str| ProtoEvent { name: name.into(), ..ProtoEvent::default() };
    let events = ["a", "b", "c", "d", "c"].map(event).to_vec();
    catalogue.spans(&spans(SHOP, vec![ProtoSpan { events, ..span("x", &[]) }]));
    let rows = catalogue.rows::<Event>();
    let rows: Vec<_> = rows.iter().filter(|row| &*row.service == "shop").map(|row| (&*row.event, row.count)).collect();
    assert_eq!(rows, [(OVERFLOW, 3), ("a", 1), ("b", 1)]);
    assert_eq!(catalogue.fold.stats().overflowed.events, 3);
}

#[test]
fn templates_past_the_budget_of_a_severity_are_one_template() {
    let mut catalogue = Catalogue::new(small());
    let bodies = ["alpha {x}", "beta (x)", "gamma [x]", "delta =x", "alpha {x}"];
    catalogue.logs(&logs(SHOP, bodies.map(|body| log(body, &[])).to_vec()));
    let expected = [(OVERFLOW, 2), ("alpha {x}", 2), ("beta (x)", 1)];
    assert_eq!(catalogue.templates(), expected.map(|(text, count)| (text.to_owned(), count)));
    assert_eq!(catalogue.row(|row: &Template| &*row.template == OVERFLOW).example, None);
    let stats = catalogue.fold.stats();
    assert_eq!((stats.templates, stats.overflowed.templates), (2, 2));
}

#[test]
fn templates_of_all_severities_share_a_budget() {
    let mut catalogue = Catalogue::new(FoldOptions { max_templates_total: 3, ..FoldOptions::default() });
    for service in ["a", "b"] {
        let bodies = ["alpha {x}", "beta (x)"].map(|body| log(body, &[]));
        catalogue.logs(&logs(&[("service.name", service)], bodies.to_vec()));
    }
    catalogue.logs(&logs(&[("service.name", "a")], vec![log("gamma [x]", &[]), log("beta (x)", &[])]));
    let rows = catalogue.rows::<Template>();
    let rows: Vec<_> = rows.iter().map(|row| (&*row.service, &*row.template, row.count)).collect();
    let expected =
        [("a", OVERFLOW, 1), ("a", "alpha {x}", 1), ("a", "beta (x)", 2), ("b", OVERFLOW, 1), ("b", "alpha {x}", 1)];
    assert_eq!(rows, expected);
}

/// Records of a request.
const BATCH: u64 = 1_000;

/// Feeds 20,000 records whose names or keys are all different, and holds the memory they may take.
fn flood(record: impl Fn(u64) -> (String, ProtoSpan), max_bytes: usize) {
    let options = FoldOptions {
        max_services: 100,
        max_spans_per_service: 1_000,
        max_names_total: 5_000,
        max_keys_total: 10_000,
        ..FoldOptions::default()
    };
    let mut catalogue = Catalogue::new(options);
    for batch in 0..20 {
        let records: Vec<_> = (batch * BATCH..(batch + 1) * BATCH).map(&record).collect();
        for same in records.chunk_by(|a, b| a.0 == b.0) {
            let spans_of = same.iter().map(|(_, span)| span.clone()).collect();
            catalogue.spans(&spans(&[("service.name", &same[0].0)], spans_of));
        }
        let held = catalogue.fold.stats().known_bytes + catalogue.fold.pending_bytes();
        assert!(held < max_bytes, "{held} bytes after {batch} batches");
    }
    let drained = catalogue.flush();
    assert_eq!(drained.records(), 20_000);
    assert_eq!(drained.services.iter().map(|row| row.spans).sum::<u64>(), 20_000);
    let over_all = |service: &str| service == ALL_SERVICES;
    let all = drained.spans.iter().filter(|row| over_all(&row.service)).map(|row| row.sample_count).sum::<u64>();
    assert_eq!(all, 20_000);
    let patterns = drained.span_patterns.iter().filter(|row| over_all(&row.service));
    assert_eq!(patterns.map(|row| row.sample_count).sum::<u64>(), 20_000);
    let carried = drained.attributes.iter().filter(|row| row.scope == Scope::Attribute).map(|row| row.count);
    assert_eq!(carried.sum::<u64>(), 20_000);
    assert_ne!(catalogue.fold.stats().overflowed, Overflowed::default());
}

#[test]
fn very_many_services_are_counted_exactly_in_bounded_memory() {
    flood(|at| (format!("service {at}"), span("x", &[("key", "value")])), 2_000_000);
}

#[test]
fn very_many_span_names_are_counted_exactly_in_bounded_memory() {
    flood(|at| ("shop".into(), span(&format!("name {at}"), &[("key", "value")])), 2_000_000);
}

#[test]
fn very_many_keys_are_counted_exactly_in_bounded_memory() {
    flood(|at| (format!("service {}", at / 50 % 90), span("x", &[(&format!("key {at}"), "v")])), 8_000_000);
}

#[test]
fn very_many_values_are_counted_in_bounded_memory() {
    flood(|at| (format!("service {at}"), span("x", &[("key", &at.to_string())])), 2_000_000);
}
