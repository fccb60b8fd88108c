//! When records happen, and which hours and days they are counted in.

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span as ProtoSpan;
use tallybook_core::{AttributeKeyBucket, DAY, HOUR, Signal, Span, TemplateBucket, Timestamp, Window};

use crate::support::{Catalogue, HOUR_START, RECEIVED, SECOND, SHOP, TIME, log, logs, span, spans};

fn at(time: i64) -> ProtoSpan {
    ProtoSpan { start_time_unix_nano: time as u64, ..span("x", &[("key", &time.to_string())]) }
}

/// The counts by window and start, in order.
fn buckets(catalogue: &mut Catalogue) -> Vec<(Window, i64, u64, u64)> {
    let rows = catalogue.key_buckets("key");
    rows.iter().map(|row| (row.window, row.start.0, row.count, row.cardinality)).collect()
}

#[test]
fn a_record_is_counted_in_the_hour_and_day_in_which_it_happened() {
    let mut catalogue = Catalogue::default();
    let midnight = Timestamp(HOUR_START).day().0;
    let times = [HOUR_START - 1, HOUR_START, HOUR_START + SECOND, midnight - 1, midnight];
    catalogue.spans(&spans(SHOP, times.map(at).to_vec()));
    let expected = [
        (Window::Day, midnight - DAY, 1, 1),
        (Window::Day, midnight, 4, 4),
        (Window::Hour, midnight - HOUR, 1, 1),
        (Window::Hour, midnight, 1, 1),
        (Window::Hour, HOUR_START - HOUR, 1, 1),
        (Window::Hour, HOUR_START, 2, 2),
    ];
    assert_eq!(buckets(&mut catalogue), expected);
}

#[test]
fn records_that_go_back_and_forth_between_hours_are_counted_in_theirs() {
    let mut catalogue = Catalogue::default();
    for round in 0..10 {
        let records = vec![at(HOUR_START - 1), at(HOUR_START + round), at(HOUR_START - 1 - round)];
        catalogue.spans(&spans(SHOP, records));
        if round % 3 == 0 {
            catalogue.flush();
        }
    }
    let midnight = Timestamp(HOUR_START).day().0;
    let expected = [
        (Window::Day, midnight, 30, 20),
        (Window::Hour, HOUR_START - HOUR, 20, 10),
        (Window::Hour, HOUR_START, 10, 10),
    ];
    assert_eq!(buckets(&mut catalogue), expected);
}

#[test]
fn late_records_go_where_they_belong_as_long_as_their_buckets_are_kept() {
    let mut catalogue = Catalogue::default();
    let ago = |days: i64| TIME as i64 - days * DAY;
    catalogue.spans(&spans(SHOP, [6, 8, 399, 401].map(|days| at(ago(days))).to_vec()));
    let windows: Vec<_> = buckets(&mut catalogue).iter().map(|bucket| (bucket.0, bucket.1)).collect();
    let day = |days: i64| (Window::Day, Timestamp(ago(days)).day().0);
    assert_eq!(windows, [day(399), day(8), day(6), (Window::Hour, Timestamp(ago(6)).hour().0)]);
    let row = catalogue.row(|row: &Span| &*row.service == "shop");
    assert_eq!((row.sample_count, row.first_seen.0, row.last_seen.0), (4, ago(401), ago(6)));
}

#[test]
fn a_day_at_the_edge_of_the_hours_that_are_kept_is_counted_whole() {
    let mut catalogue = Catalogue::default();
    let edge = RECEIVED.0 - 7 * DAY;
    catalogue.spans(&spans(SHOP, vec![at(edge - 2 * HOUR), at(edge + 2 * HOUR)]));
    let counts: Vec<_> = buckets(&mut catalogue).iter().map(|bucket| (bucket.0, bucket.2)).collect();
    assert_eq!(counts, [(Window::Day, 2), (Window::Hour, 1)]);
}

#[test]
fn a_time_that_cannot_be_is_replaced_by_the_time_of_receipt() {
    let mut catalogue = Catalogue::default();
    let impossible = [
        0,
        1,
        946_684_799_999_999_999,
        RECEIVED.0 as u64 + 601 * SECOND as u64,
        i64::MAX as u64,
        i64::MAX as u64 + 1,
        u64::MAX,
    ];
    let record = |time| ProtoSpan { start_time_unix_nano: time, ..span("x", &[]) };
    catalogue.spans(&spans(SHOP, impossible.map(record).to_vec()));
    let row = catalogue.row(|row: &Span| &*row.service == "shop");
    assert_eq!((row.sample_count, row.first_seen, row.last_seen), (7, RECEIVED, RECEIVED));
    assert_eq!(catalogue.fold.stats().times_corrected, 7);

    let ahead = RECEIVED.0 as u64 + 599 * SECOND as u64;
    catalogue.spans(&spans(SHOP, vec![record(ahead), record(946_684_800_000_000_000)]));
    let row = catalogue.row(|row: &Span| &*row.service == "shop");
    assert_eq!((row.first_seen.0, row.last_seen.0 as u64), (946_684_800_000_000_000, ahead));
    assert_eq!(catalogue.fold.stats().times_corrected, 7);
}

#[test]
fn a_log_without_a_time_happened_when_it_was_observed() {
    let mut catalogue = Catalogue::default();
    let observed = (HOUR_START - 1) as u64;
    let record = LogRecord { time_unix_nano: 0, observed_time_unix_nano: observed, ..log("hello 5", &[]) };
    catalogue.logs(&logs(SHOP, vec![record]));
    let row = catalogue.row(|row: &TemplateBucket| row.window == Window::Hour);
    assert_eq!(row.start.0, HOUR_START - HOUR);
    assert_eq!(catalogue.fold.stats().times_corrected, 0);
}

#[test]
fn a_clock_at_either_end_of_time_does_no_harm() {
    let mut catalogue = Catalogue::default();
    for received in [i64::MIN, -1, 0, i64::MAX] {
        let request = spans(SHOP, vec![span("x", &[]), ProtoSpan { start_time_unix_nano: 0, ..span("x", &[]) }]);
        catalogue.fold.observe(Signal::Span, &request, Timestamp(received)).expect("a valid request");
    }
    assert_eq!(catalogue.row(|row: &Span| &*row.service == "shop").sample_count, 8);
    assert!(!catalogue.rows::<AttributeKeyBucket>().is_empty());
}
