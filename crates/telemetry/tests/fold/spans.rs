//! Spans, events, links, statuses and patterns.

use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Span as ProtoSpan, Status};
use tallybook_core::{ALL_SERVICES, Scope, Span, SpanPattern};

use crate::support::{Catalogue, SHOP, pairs, scope, scoped_spans, span, spans};

#[test]
fn kinds_and_statuses_are_counted_in_every_batch() {
    let mut catalogue = Catalogue::default();
    let with = |kind, code| ProtoSpan { kind, status: Some(Status { code, ..Status::default() }), ..span("x", &[]) };
    catalogue.spans(&spans(SHOP, vec![with(2, 0), with(2, 1)]));
    catalogue.flush();
    catalogue.spans(&spans(SHOP, vec![with(3, 2), with(1, 2), with(4, 1), with(5, 0), with(0, 0), with(99, 99)]));
    catalogue.spans(&spans(SHOP, vec![span("x", &[])]));
    for service in ["shop", ALL_SERVICES] {
        let row = catalogue.row(|row: &Span| &*row.service == service);
        assert_eq!((row.sample_count, row.kind_server, row.kind_client, row.kind_internal), (9, 2, 1, 1));
        assert_eq!((row.kind_producer, row.kind_consumer, row.kind_unspecified), (1, 1, 3));
        assert_eq!((row.status_unset, row.status_ok, row.status_error), (5, 2, 2));
    }
}

#[test]
fn events_and_links_are_counted_with_their_names_and_keys() {
    let mut catalogue = Catalogue::default();
    let event = |name: &str, kind| Event {
        name: name.into(),
        attributes: pairs(&[("exception.type", kind)]),
        ..Event::default()
    };
    let link = Link { attributes: pairs(&[("queue", "orders")]), ..Link::default() };
    let events = vec![event("exception", "io"), event("exception", "parse"), event("", "io")];
    let failed = ProtoSpan { events, links: vec![link.clone(), link], ..span("x", &[]) };
    catalogue.spans(&spans(SHOP, vec![failed, span("x", &[])]));
    let row = catalogue.row(|row: &Span| &*row.service == "shop");
    assert_eq!((row.events, row.links), (3, 2));
    assert_eq!(catalogue.event("shop", "x", "exception").count, 2);
    assert_eq!(catalogue.event(ALL_SERVICES, "x", "exception").count, 2);
    assert_eq!(catalogue.event("shop", "x", "<unnamed>").count, 1);
    // Keys are counted by the record that carries them, not by the event.
    let key = catalogue.key("shop", "x", Scope::Event, "exception.type");
    assert_eq!((key.count, key.cardinality), (1, 2));
    assert_eq!(catalogue.key("shop", "x", Scope::Link, "queue").count, 1);
}

#[test]
fn names_of_one_shape_share_a_pattern() {
    let mut catalogue = Catalogue::default();
    let get = |user: u64| span(&format!("GET /users/{user}/orders"), &[]);
    catalogue.spans(&spans(SHOP, vec![get(7), get(123), get(7), span("checkout", &[])]));
    catalogue.flush();
    catalogue.spans(&spans(SHOP, vec![get(8)]));
    catalogue.spans(&spans(&[("service.name", "cart")], vec![get(7)]));
    let pattern = |service: &'static str| {
        move |row: &SpanPattern| &*row.service == service && &*row.pattern == "GET /users/<*>/orders"
    };
    let row = catalogue.row(pattern("shop"));
    assert_eq!((row.sample_count, row.name_count, &*row.example), (4, 3, "GET /users/7/orders"));
    assert_eq!(catalogue.row(pattern(ALL_SERVICES)).name_count, 3);
    let row = catalogue.row(|row: &SpanPattern| &*row.service == "shop" && &*row.pattern == "checkout");
    assert_eq!((row.sample_count, row.name_count, &*row.example), (1, 1, "checkout"));
    let names: Vec<_> = catalogue.rows::<Span>().iter().map(|row| row.pattern.clone()).collect();
    assert_eq!(names.iter().filter(|pattern| &***pattern == "GET /users/<*>/orders").count(), 7);
}

#[test]
fn the_scope_is_the_one_seen_last() {
    let mut catalogue = Catalogue::default();
    let request = |version| scoped_spans(SHOP, vec![(scope("http", version, &[]), vec![span("x", &[])])]);
    catalogue.spans(&request("1.0"));
    catalogue.flush();
    catalogue.spans(&request("1.1"));
    // What is not said changes nothing.
    catalogue.spans(&spans(SHOP, vec![span("x", &[])]));
    for service in ["shop", ALL_SERVICES] {
        let row = catalogue.row(|row: &Span| &*row.service == service);
        assert_eq!((row.scope_name.as_deref(), row.scope_version.as_deref()), (Some("http"), Some("1.1")));
    }
}
