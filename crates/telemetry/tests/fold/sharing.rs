//! What records share: resources, scopes, keys, services.

use tallybook_core::{ALL_SERVICES, Attribute, AttributeKey, Scope, Span};

use crate::support::{Catalogue, Pairs, SHOP, gauge, log, logs, metrics, point, scope, scoped_spans, span, spans};

#[test]
fn resource_keys_that_are_always_present_count_as_often_as_the_records() {
    let mut catalogue = Catalogue::default();
    for batch in 0..3 {
        let resource: Pairs<'_> = &[("service.name", "shop"), ("host.name", "a")];
        catalogue.spans(&spans(resource, (0..=batch).map(|_| span("GET /", &[])).collect()));
        catalogue.logs(&logs(resource, vec![log("hello", &[]), log("hello", &[])]));
        catalogue.metrics(&metrics(resource, vec![gauge("cpu", vec![point(&[]), point(&[("core", "1")])])]));
    }
    for (name, records) in [("GET /", 6), ("INFO", 6), ("cpu", 6)] {
        for service in ["shop", ALL_SERVICES] {
            for key in ["service.name", "host.name"] {
                let row = catalogue.key(service, name, Scope::Resource, key);
                assert_eq!((row.count, row.cardinality), (records, 1), "{service} {name} {key}");
            }
        }
    }
}

#[test]
fn resource_keys_count_only_for_the_records_below_their_resource() {
    let mut catalogue = Catalogue::default();
    catalogue.spans(&spans(&[("service.name", "shop"), ("host.name", "a")], vec![span("x", &[]), span("x", &[])]));
    catalogue.spans(&spans(&[("service.name", "shop"), ("pod", "b")], vec![span("x", &[])]));
    assert_eq!(catalogue.key("shop", "x", Scope::Resource, "service.name").count, 3);
    assert_eq!(catalogue.key("shop", "x", Scope::Resource, "host.name").count, 2);
    assert_eq!(catalogue.key("shop", "x", Scope::Resource, "pod").count, 1);
}

#[test]
fn scope_attributes_count_for_the_records_of_their_scope_only() {
    let mut catalogue = Catalogue::default();
    let groups = vec![
        (scope("a", "", &[]), vec![span("x", &[])]),
        (scope("b", "", &[("library.language", "rust")]), vec![span("x", &[]), span("x", &[])]),
        (scope("c", "", &[]), vec![span("x", &[])]),
        (scope("d", "", &[("library.language", "go"), ("other", "")]), vec![span("x", &[])]),
    ];
    catalogue.spans(&scoped_spans(SHOP, groups));
    let language = catalogue.key("shop", "x", Scope::Scope, "library.language");
    assert_eq!((language.count, language.cardinality), (3, 2));
    assert_eq!(catalogue.key("shop", "x", Scope::Scope, "other").count, 1);
    assert_eq!(catalogue.key("shop", "x", Scope::Resource, "service.name").count, 5);
}

#[test]
fn a_key_that_a_record_carries_twice_counts_once() {
    let mut catalogue = Catalogue::default();
    let resource: Pairs<'_> = &[("service.name", "shop"), ("host.name", "a"), ("host.name", "b")];
    catalogue.spans(&spans(resource, vec![span("x", &[("k", "1"), ("j", ""), ("k", "2")]), span("x", &[("k", "1")])]));
    let key = catalogue.key("shop", "x", Scope::Attribute, "k");
    assert_eq!((key.count, key.cardinality), (2, 2));
    let host = catalogue.key("shop", "x", Scope::Resource, "host.name");
    assert_eq!((host.count, host.cardinality), (2, 2));
}

#[test]
fn cardinality_grows_however_few_values_a_batch_carries() {
    let mut catalogue = Catalogue::default();
    for batch in 0..2_000 {
        let user = format!("user_{}", batch % 1_500);
        catalogue.spans(&spans(SHOP, vec![span("x", &[("user.id", &user), ("tier", "gold")])]));
        if batch % 10 == 9 {
            catalogue.flush();
        }
    }
    let users = catalogue.key("shop", "x", Scope::Attribute, "user.id").cardinality;
    assert!((1_430..=1_570).contains(&users), "{users}");
    assert_eq!(catalogue.key("shop", "x", Scope::Attribute, "tier").cardinality, 1);
}

#[test]
fn keys_in_any_order_and_optional_ones_are_counted_right() {
    let mut catalogue = Catalogue::default();
    let orders: [Pairs<'_>; 4] =
        [&[("a", "1"), ("b", "1"), ("c", "1")], &[("c", "1"), ("a", "1")], &[("b", "1")], &[("d", "1"), ("b", "1")]];
    for round in 0..100 {
        catalogue.spans(&spans(SHOP, vec![span("x", orders[round % 4]), span("y", orders[round % 3])]));
    }
    let counts = ["a", "b", "c", "d"].map(|key| catalogue.key("shop", "x", Scope::Attribute, key).count);
    assert_eq!(counts, [50, 75, 50, 25]);
}

#[test]
fn a_name_of_two_services_is_summed_up_over_all_services() {
    let mut catalogue = Catalogue::default();
    for (service, values) in [("shop", ["1", "2"]), ("cart", ["2", "3"])] {
        let records = values.map(|value| span("GET /", &[("user", value)]));
        catalogue.spans(&spans(&[("service.name", service)], records.to_vec()));
    }
    assert_eq!(catalogue.row(|row: &Span| &*row.service == ALL_SERVICES).sample_count, 4);
    let over_all = catalogue.key(ALL_SERVICES, "GET /", Scope::Attribute, "user");
    assert_eq!((over_all.count, over_all.cardinality), (4, 3));
    assert_eq!(catalogue.key("shop", "GET /", Scope::Attribute, "user").cardinality, 2);
}

#[test]
fn a_key_is_summed_up_over_signals_by_scope() {
    let mut catalogue = Catalogue::default();
    let resource: Pairs<'_> = &[("service.name", "shop"), ("user", "0")];
    catalogue.spans(&spans(resource, vec![span("x", &[("user", "1")]), span("y", &[("user", "2")])]));
    catalogue.logs(&logs(resource, vec![log("hello", &[("user", "2")])]));
    catalogue.metrics(&metrics(resource, vec![gauge("cpu", vec![point(&[("user", "3")])])]));
    let row = catalogue.row(|row: &Attribute| &*row.key == "user" && row.scope == Scope::Attribute);
    assert_eq!((row.count, row.metric_count, row.span_count, row.log_count, row.cardinality), (4, 1, 2, 1, 3));
    let row = catalogue.row(|row: &Attribute| &*row.key == "user" && row.scope == Scope::Resource);
    assert_eq!((row.count, row.cardinality), (4, 1));
}

#[test]
fn a_resource_without_a_service_name_is_unknown_service() {
    let mut catalogue = Catalogue::default();
    catalogue.spans(&spans(&[], vec![span("x", &[])]));
    catalogue.spans(&spans(&[("service.name", ""), ("service.namespace", "ns")], vec![span("x", &[])]));
    assert_eq!(catalogue.service("unknown_service").spans, 2);
    assert_eq!(catalogue.fold.stats().services, 1);
}

#[test]
fn a_service_counts_its_records_by_signal() {
    let mut catalogue = Catalogue::default();
    catalogue.spans(&spans(SHOP, vec![span("x", &[])]));
    catalogue.logs(&logs(SHOP, vec![log("hello", &[]), log("", &[])]));
    catalogue.metrics(&metrics(SHOP, vec![gauge("cpu", vec![point(&[]), point(&[]), point(&[])])]));
    catalogue.spans(&spans(&[("service.name", "silent")], vec![]));
    let shop = catalogue.service("shop");
    assert_eq!((shop.spans, shop.log_records, shop.metric_points), (1, 2, 3));
    assert_eq!(catalogue.rows::<tallybook_core::Service>().len(), 1);
    assert!(catalogue.rows::<AttributeKey>().iter().all(|row| row.count > 0));
}
