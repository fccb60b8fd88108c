//! A restart continues: budgets, templates and what describes a metric.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tallybook_core::{AttributeKey, Metric, OVERFLOW, Scope, Signal, Span, Timestamp};
use tallybook_telemetry::{Fold, FoldOptions, FoldStats, Known, Overflowed};

use crate::support::{Catalogue, SHOP, gauge, log, logs, metrics, point, span, spans};

#[test]
fn templates_go_on_after_a_restart() {
    let mut catalogue = Catalogue::default();
    let session = |name: &str| logs(SHOP, vec![log(&format!("session of {name} has been opened"), &[])]);
    catalogue.logs(&session("alice"));
    catalogue.restart();
    catalogue.logs(&session("alice"));
    assert_eq!(catalogue.templates(), [("session of alice has been opened".to_owned(), 2)]);
    catalogue.restart();
    catalogue.logs(&session("bob"));
    catalogue.restart();
    catalogue.logs(&session("carol"));
    assert_eq!(catalogue.templates(), [("session of <*> has been opened".to_owned(), 4)]);
    // The text that is no more does not come back.
    assert_eq!(catalogue.fold.stats().templates, 1);
}

#[test]
fn budgets_go_on_after_a_restart() {
    let options = FoldOptions {
        max_services: 1,
        max_spans_per_service: 2,
        max_keys_per_name: 1,
        max_templates_per_miner: 1,
        ..FoldOptions::default()
    };
    let mut catalogue = Catalogue::new(options);
    let feed = |catalogue: &mut Catalogue| {
        for (service, name) in [("shop", "a"), ("shop", "b"), ("shop", "c"), ("cart", "a")] {
            let service = [("service.name", service)];
            catalogue.spans(&spans(&service, vec![span(name, &[("k", ""), ("l", "")])]));
            catalogue.logs(&logs(&service, vec![log("alpha", &[]), log("beta {x}", &[])]));
        }
    };
    feed(&mut catalogue);
    catalogue.flush();
    let before = catalogue.fold.stats();
    catalogue.restart();
    let after = catalogue.fold.stats();
    let known = |stats: FoldStats| (stats.services, stats.spans, stats.keys, stats.templates);
    assert_eq!(known(after), known(before));
    assert_eq!((after.records, after.overflowed), (0, Overflowed::default()));
    let rows = catalogue.rows::<AttributeKey>().len();
    feed(&mut catalogue);
    assert_eq!(catalogue.rows::<AttributeKey>().len(), rows);
    let row = catalogue.row(|row: &Span| &*row.service == "shop" && &*row.name == OVERFLOW);
    assert_eq!(row.sample_count, 2);
}

#[test]
fn what_describes_a_metric_is_not_forgotten() {
    let mut catalogue = Catalogue::default();
    let mut described = gauge("cpu", vec![point(&[("core", "0")])]);
    described.unit = "s".into();
    catalogue.metrics(&metrics(SHOP, vec![described]));
    catalogue.restart();
    catalogue.metrics(&metrics(SHOP, vec![gauge("cpu", vec![point(&[("core", "1")])])]));
    let drained = catalogue.flush();
    assert!(drained.metrics.iter().all(|row| row.unit.as_deref() == Some("s")));
    assert_eq!(catalogue.row(|row: &Metric| &*row.service == "shop").active_series, 2);
}

#[test]
fn a_catalogue_larger_than_the_budgets_is_taken_over_in_part() {
    let mut catalogue = Catalogue::default();
    for service in ["a", "b", "c"] {
        catalogue.spans(&spans(&[("service.name", service)], vec![span("x", &[("k", "")])]));
        catalogue.logs(&logs(&[("service.name", service)], vec![log("alpha", &[])]));
    }
    catalogue.flush();
    let mut fold = Fold::new(FoldOptions { max_services: 1, max_keys_total: 1, ..FoldOptions::default() });
    fold.restore(&catalogue.known());
    let stats = fold.stats();
    assert_eq!((stats.services, stats.spans, stats.keys, stats.templates), (1, 1, 1, 1));
    assert!(fold.drain().is_empty());
}

#[test]
fn a_large_catalogue_is_taken_over_quickly() {
    let key = |at: usize| AttributeKey {
        signal: Signal::Span,
        service: "shop".into(),
        name: format!("name {}", at / 10).into(),
        scope: Scope::Attribute,
        key: format!("key {}", at % 10).into(),
        count: 1,
        cardinality: 1,
        first_seen: Timestamp(1),
        last_seen: Timestamp(1),
        distinct_values: Arc::default(),
    };
    let mut one = Catalogue::default();
    one.spans(&spans(SHOP, vec![span("x", &[])]));
    let one = one.row(|row: &Span| &*row.service == "shop");
    let name = |at: usize| Span { name: format!("name {at}").into(), ..one.clone() };
    let known = Known {
        spans: (0..10_000).map(name).collect(),
        attribute_keys: (0..100_000).map(key).collect(),
        ..Known::default()
    };
    let mut fold = Fold::new(FoldOptions::default());
    let begun = Instant::now();
    fold.restore(&known);
    // About 20 ms; a search through all names for each key would take minutes.
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!((fold.stats().spans, fold.stats().keys), (10_000, 100_000));
}
