//! Logs: severities, bodies, templates and examples.

use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use tallybook_core::{ALL_SERVICES, Log, Scope, Severity, Template, TemplateBucket, Window};
use tallybook_telemetry::FoldOptions;

use crate::support::{Catalogue, SHOP, kvlist, log, logs, string};

fn with_body(body: AnyValue) -> LogRecord {
    LogRecord { body: Some(body), ..log("", &[]) }
}

fn array(values: Vec<AnyValue>) -> AnyValue {
    AnyValue { value: Some(Value::ArrayValue(ArrayValue { values })) }
}

#[test]
fn the_severity_is_the_number_first_then_the_text() {
    let mut catalogue = Catalogue::default();
    let severe =
        |number, text: &str| LogRecord { severity_number: number, severity_text: text.into(), ..log("x", &[]) };
    let records = vec![severe(18, "info"), severe(0, "Warning"), severe(0, "critical"), severe(0, "?"), severe(9, "")];
    catalogue.logs(&logs(SHOP, records));
    let rows = catalogue.rows::<Log>();
    let shop: Vec<_> = rows.iter().filter(|row| &*row.service == "shop").map(|row| row.severity).collect();
    assert_eq!(shop, [Severity::Error, Severity::Fatal, Severity::Info, Severity::Unspecified, Severity::Warn]);
    assert_eq!(rows.len(), 10);
}

#[test]
fn bodies_are_counted_by_their_kind() {
    let mut catalogue = Catalogue::default();
    let none = LogRecord { body: None, ..log("", &[]) };
    let number = with_body(AnyValue { value: Some(Value::IntValue(5)) });
    let bodies = [string("a"), string(""), kvlist(&[("a", "1")]), array(vec![string("a")])];
    let mut records: Vec<_> = bodies.map(with_body).to_vec();
    records.extend([none, number]);
    catalogue.logs(&logs(SHOP, records));
    for service in ["shop", ALL_SERVICES] {
        let row = catalogue.row(|row: &Log| &*row.service == service);
        assert_eq!((row.body_string, row.body_kvlist, row.body_array, row.body_other), (2, 1, 1, 2));
        assert_eq!(row.sample_count, 6);
    }
}

#[test]
fn bodies_of_every_kind_have_a_template() {
    let mut catalogue = Catalogue::default();
    let records = vec![
        with_body(string("user 17 logged in")),
        with_body(kvlist(&[("level", "info"), ("msg", "user 18 logged in")])),
        with_body(kvlist(&[("body", "b 1"), ("message", "m 1"), ("event", "e 1")])),
        with_body(kvlist(&[("b", "1"), ("a", "2")])),
        with_body(kvlist(&[("a", "other"), ("b", "values")])),
        with_body(array(vec![string("a"), string("b")])),
        with_body(AnyValue { value: Some(Value::DoubleValue(0.5)) }),
        with_body(string("  ")),
    ];
    catalogue.logs(&logs(SHOP, records));
    let expected = [("<*>", 1), ("[<*>]", 1), ("m <*>", 1), ("user <*> logged in", 2), ("{a=<*>, b=<*>}", 2)];
    assert_eq!(catalogue.templates(), expected.map(|(text, count)| (text.to_owned(), count)));
}

#[test]
fn the_keys_of_a_structured_body_are_counted_by_record() {
    let mut catalogue = Catalogue::default();
    let records = vec![with_body(kvlist(&[("msg", "a"), ("user", "1")])), with_body(kvlist(&[("user", "2")]))];
    catalogue.logs(&logs(SHOP, records));
    let key = catalogue.key("shop", "INFO", Scope::Body, "user");
    assert_eq!((key.count, key.cardinality), (2, 2));
    assert_eq!(catalogue.key("shop", "INFO", Scope::Body, "msg").count, 1);
}

#[test]
fn event_names_are_events_of_the_severity() {
    let mut catalogue = Catalogue::default();
    let event = |name: &str| LogRecord { event_name: name.into(), ..log("x", &[]) };
    catalogue.logs(&logs(SHOP, vec![event("page_view"), event("page_view"), event("click"), event("")]));
    assert_eq!(catalogue.event("shop", "INFO", "page_view").count, 2);
    assert_eq!(catalogue.event(ALL_SERVICES, "INFO", "click").count, 1);
    assert_eq!(catalogue.rows::<tallybook_core::Event>().len(), 4);
}

#[test]
fn a_template_is_counted_at_once_and_in_every_batch() {
    let mut catalogue = Catalogue::default();
    for batch in 1..=5 {
        catalogue.logs(&logs(SHOP, vec![log(&format!("order {batch} paid"), &[])]));
        assert_eq!(catalogue.templates(), [("order <*> paid".to_owned(), batch)]);
    }
    let buckets: Vec<_> = catalogue.rows::<TemplateBucket>().iter().map(|row| (row.window, row.count)).collect();
    assert_eq!(buckets, [(Window::Day, 5), (Window::Hour, 5)]);
}

#[test]
fn services_and_severities_keep_their_templates_apart() {
    let mut catalogue = Catalogue::default();
    let error = LogRecord { severity_number: 17, ..log("order 1 paid", &[]) };
    catalogue.logs(&logs(SHOP, vec![log("order 1 paid", &[]), error]));
    catalogue.logs(&logs(&[("service.name", "cart")], vec![log("order 2 paid", &[])]));
    let rows = catalogue.rows::<Template>();
    let rows: Vec<_> = rows.iter().map(|row| (&*row.service, row.severity, row.count)).collect();
    assert_eq!(rows, [("cart", Severity::Info, 1), ("shop", Severity::Error, 1), ("shop", Severity::Info, 1)]);
}

#[test]
fn a_template_that_becomes_more_general_takes_its_counts_along() {
    let mut catalogue = Catalogue::default();
    let names = ["alice", "bob", "carol", "dave"];
    for (batch, name) in names.iter().enumerate() {
        catalogue.logs(&logs(SHOP, vec![log(&format!("session of {name} has been opened"), &[]); 2]));
        let moves = catalogue.flush().template_moves;
        // Only the second line changes a text that the store has.
        assert_eq!(moves.len(), usize::from(batch == 1), "{moves:?}");
    }
    assert_eq!(catalogue.templates(), [("session of <*> has been opened".to_owned(), 8)]);
    let row = catalogue.row(|row: &Template| row.count > 0);
    assert_eq!(row.example.as_deref(), Some("session of alice has been opened"));
    let buckets: u64 = catalogue.rows::<TemplateBucket>().iter().map(|row| row.count).sum();
    assert_eq!(buckets, 16);
}

#[test]
fn a_text_that_the_store_never_had_needs_no_move() {
    let mut catalogue = Catalogue::default();
    let records = ["alice", "bob"].map(|name| log(&format!("session of {name} has been opened"), &[]));
    catalogue.logs(&logs(SHOP, records.to_vec()));
    let drained = catalogue.flush();
    assert!(drained.template_moves.is_empty());
    assert_eq!(drained.templates.len(), 1);
    assert_eq!(drained.templates[0].count, 2);
}

#[test]
fn the_example_is_the_first_body_cut_to_its_limit() {
    let mut catalogue = Catalogue::new(FoldOptions { example_max_bytes: 16, ..FoldOptions::default() });
    let records = vec![log("grüße an 17 \0 von uns", &[]), log("grüße an 18 \0 von uns", &[])];
    catalogue.logs(&logs(SHOP, records));
    catalogue.flush();
    catalogue.logs(&logs(SHOP, vec![log("grüße an 19 \0 von uns", &[])]));
    let row = catalogue.row(|_: &Template| true);
    assert_eq!((row.example.as_deref(), row.count), (Some("grüße an 17…"), 3));
}

#[test]
fn a_structured_body_without_a_message_is_its_own_example() {
    let mut catalogue = Catalogue::default();
    let nested = array(vec![string("x\"y"), AnyValue::default(), AnyValue { value: Some(Value::BoolValue(true)) }]);
    catalogue.logs(&logs(SHOP, vec![with_body(kvlist(&[("b", "1"), ("a", "2")])), with_body(nested)]));
    let examples: Vec<_> = catalogue.rows::<Template>().into_iter().map(|row| row.example).collect();
    assert_eq!(examples[0].as_deref(), Some(r#"["x\"y", null, true]"#));
    assert_eq!(examples[1].as_deref(), Some(r#"{b="1", a="2"}"#));
}

#[test]
fn no_body_is_kept_where_examples_are_switched_off() {
    let mut catalogue = Catalogue::new(FoldOptions { keep_examples: false, ..FoldOptions::default() });
    catalogue.logs(&logs(SHOP, vec![log("secret 17", &[])]));
    assert_eq!(catalogue.row(|_: &Template| true).example, None);
}
