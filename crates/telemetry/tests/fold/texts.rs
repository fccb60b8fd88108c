//! Names that a store could not hold, and requests that cannot be read.

use prost::Message;
use tallybook_core::{Scope, Signal, Span};
use tallybook_telemetry::{DecodeErrorKind, Observed};

use crate::support::{Catalogue, Pairs, RECEIVED, SHOP, log, logs, span, spans};

#[test]
fn nul_characters_reach_no_row() {
    let mut catalogue = Catalogue::default();
    let resource: Pairs<'_> = &[("service.name", "sh\0op"), ("re\0source", "\0")];
    catalogue.spans(&spans(resource, vec![span("na\0me", &[("k\0ey", "v\0")])]));
    catalogue.logs(&logs(resource, vec![log("bo\0dy\0 5", &[("k\0ey", "")])]));
    let drained = catalogue.flush();
    drained
        .for_each_table(|_, rows| {
            assert!(!format!("{rows:?}").contains("\\0"), "{rows:?}");
            Ok::<_, ()>(())
        })
        .expect("no error");
    assert_eq!(catalogue.key("sh\u{FFFD}op", "na\u{FFFD}me", Scope::Attribute, "k\u{FFFD}ey").count, 1);
}

#[test]
fn names_that_are_not_utf8_are_shown_with_replacement_characters_and_counted() {
    let mut catalogue = Catalogue::default();
    let mut request = spans(SHOP, vec![span("name", &[("key", "value")])]);
    for at in 0..request.len() - 4 {
        if request[at..].starts_with(b"name") && request[at - 2] == 0x2A || request[at..].starts_with(b"key") {
            request[at] = 0xFF;
        }
    }
    catalogue.spans(&request);
    catalogue.spans(&request);
    let key = catalogue.key("shop", "\u{FFFD}ame", Scope::Attribute, "\u{FFFD}ey");
    assert_eq!((key.count, key.cardinality), (2, 1));
    let stats = catalogue.fold.stats();
    assert_eq!((stats.invalid_utf8, stats.keys, stats.spans), (4, 2, 1));
}

#[test]
fn long_names_are_cut_and_stay_one_name() {
    let mut catalogue = Catalogue::default();
    let (name, key) = ("n".repeat(10_000), "ключ".repeat(1_000));
    for _ in 0..3 {
        catalogue.spans(&spans(SHOP, vec![span(&name, &[(&key, "v")])]));
    }
    let row = catalogue.row(|row: &Span| &*row.service == "shop");
    assert!(row.name.len() <= 512 && row.name.ends_with('…'));
    assert_eq!((row.sample_count, catalogue.fold.stats().keys), (3, 2));
}

#[test]
fn empty_names_and_keys_are_called_unnamed() {
    let mut catalogue = Catalogue::default();
    catalogue.spans(&spans(SHOP, vec![span("", &[("", "v")]), span("", &[("", "w")])]));
    let key = catalogue.key("shop", "<unnamed>", Scope::Attribute, "<unnamed>");
    assert_eq!((key.count, key.cardinality), (2, 2));
}

#[test]
fn a_request_that_cannot_be_read_changes_nothing() {
    let mut catalogue = Catalogue::default();
    let mut request = spans(SHOP, vec![span("x", &[]); 100]);
    request.extend([0x0A, 0x7F]);
    let error = catalogue.fold.observe(Signal::Span, &request, RECEIVED).expect_err("the end is missing");
    assert_eq!(error.kind(), DecodeErrorKind::Truncated);
    assert_eq!(catalogue.fold.pending_records(), 0);
    assert_eq!(catalogue.fold.stats(), Catalogue::default().fold.stats());
    assert!(catalogue.flush().is_empty());
}

#[test]
fn an_empty_request_succeeds() {
    let mut catalogue = Catalogue::default();
    for signal in Signal::ALL {
        assert_eq!(catalogue.observe(*signal, &[]), Observed::default());
    }
    let nothing = opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest::default();
    assert_eq!(catalogue.spans(&nothing.encode_to_vec()).records, 0);
    assert!(catalogue.flush().is_empty());
}
