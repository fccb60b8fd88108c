//! Whatever is observed, and however it is split into drains and restarts: the store ends up the same, and every number
//! in it adds up.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::trace::v1::span::Event as ProtoEvent;
use opentelemetry_proto::tonic::trace::v1::{Span as ProtoSpan, Status};
use proptest::collection::vec;
use proptest::prelude::*;
use tallybook_core::{
    ALL_SERVICES, Attribute, AttributeKey, AttributeKeyBucket, CatalogueDelta, Event, Log, Metric, MetricBucket,
    Record, Row, Scope, Service, Signal, Span, SpanPattern, TABLES, Table, Template, TemplateBucket, Window,
};
use tallybook_telemetry::FoldOptions;

use crate::support::{
    Catalogue, HOUR_START, SECOND, gauge, kvlist, log, logs, metrics, point, scope, scoped_metrics, scoped_spans, span,
};

const KEYS: [&str; 5] = ["a", "b", "c", "d", "user.id"];
const VALUES: [&str; 4] = ["1", "2", "3", "4"];
const NAMES: [&str; 5] = ["alpha", "beta", "GET /users/1", "GET /users/2", "delta"];
const SERVICES: [&str; 4] = ["shop", "cart", "pay", "mail"];
const BODIES: [&str; 7] = [
    "session of alice has been opened",
    "session of bob has been opened",
    "order 17 paid in 5 ms",
    "order 18 paid in 6 ms",
    "cache {cold}",
    "",
    "[x] done",
];
/// Before the hour, in it, two days ago, 20 days ago (no hour bucket), and 500 days ago (no bucket).
const TIMES: [i64; 5] = [-1, 5, -2 * 86_400, -20 * 86_400, -500 * 86_400];

/// A record by its places in the lists above.
#[derive(Clone, Debug)]
struct Sent {
    name: usize,
    attributes: Vec<(usize, usize)>,
    time: usize,
    body: usize,
}

#[derive(Clone, Debug)]
struct Request {
    signal: Signal,
    service: usize,
    host: Option<usize>,
    scope: usize,
    records: Vec<Sent>,
}

impl Request {
    fn encode(&self) -> Vec<u8> {
        let host = self.host.map(|host| ("host.name", VALUES[host]));
        let resource: Vec<_> = [("service.name", SERVICES[self.service])].into_iter().chain(host).collect();
        let records = || self.records.iter();
        let scope = scope("library", VALUES[self.scope], &[("lib", "x")][..self.scope % 2]);
        match self.signal {
            Signal::Span => scoped_spans(&resource, vec![(scope, records().map(Sent::span).collect())]),
            Signal::Log => logs(
                &resource,
                records()
                    .map(|sent| {
                        let mut record = log(BODIES[sent.body], &sent.attributes());
                        if sent.name == 0 {
                            record.body = Some(kvlist(&sent.attributes()));
                        }
                        record.severity_number = [9, 17][sent.name % 2];
                        record.event_name = if sent.name == 3 { NAMES[sent.body % 5].into() } else { String::new() };
                        record.time_unix_nano = sent.time();
                        record
                    })
                    .collect(),
            ),
            Signal::Metric => {
                let metric = |sent: &Sent| {
                    let mut point = point(&sent.attributes());
                    point.time_unix_nano = sent.time();
                    let mut metric = gauge(NAMES[sent.name], vec![point]);
                    metric.unit = VALUES.get(sent.body).copied().unwrap_or_default().into();
                    metric
                };
                scoped_metrics(&resource, scope, records().map(metric).collect())
            }
        }
    }
}

impl Sent {
    fn attributes(&self) -> Vec<(&'static str, &'static str)> {
        self.attributes.iter().map(|&(key, value)| (KEYS[key], VALUES[value])).collect()
    }

    fn time(&self) -> u64 {
        (HOUR_START + TIMES[self.time] * SECOND) as u64
    }

    fn span(&self) -> ProtoSpan {
        let event = |name: usize| ProtoEvent { name: NAMES[name].into(), ..ProtoEvent::default() };
        ProtoSpan {
            start_time_unix_nano: self.time(),
            kind: self.body as i32,
            status: Some(Status { code: self.time as i32, ..Status::default() }),
            events: (0..self.body % 4).map(event).collect(),
            ..span(NAMES[self.name], &self.attributes())
        }
    }
}

fn sent() -> impl Strategy<Value = Sent> {
    (0..5_usize, vec((0..5_usize, 0..4_usize), 0..5), 0..5_usize, 0..7_usize)
        .prop_map(|(name, attributes, time, body)| Sent { name, attributes, time, body })
}

fn request() -> impl Strategy<Value = Request> {
    let signal = prop::sample::select(Signal::ALL);
    (signal, 0..4_usize, prop::option::of(0..4_usize), 0..4_usize, vec(sent(), 0..6))
        .prop_map(|(signal, service, host, scope, records)| Request { signal, service, host, scope, records })
}

/// Small enough that all of them overflow now and then.
fn options() -> FoldOptions {
    FoldOptions {
        max_services: 3,
        max_spans_per_service: 4,
        max_metrics_per_service: 4,
        max_keys_per_name: 3,
        max_events_per_name: 2,
        max_templates_per_miner: 4,
        ..FoldOptions::default()
    }
}

/// All rows but those of templates that are no more.
fn contents(catalogue: &mut Catalogue) -> BTreeMap<&'static str, Vec<Row>> {
    fn rows<R: Record>(catalogue: &mut Catalogue, into: &mut BTreeMap<&'static str, Vec<Row>>) {
        let rows = catalogue.rows::<R>().iter().map(R::to_row).collect();
        into.insert(R::TABLE.name, rows);
    }
    let mut all = BTreeMap::new();
    rows::<Service>(catalogue, &mut all);
    rows::<Metric>(catalogue, &mut all);
    rows::<Span>(catalogue, &mut all);
    rows::<SpanPattern>(catalogue, &mut all);
    rows::<Log>(catalogue, &mut all);
    rows::<Event>(catalogue, &mut all);
    rows::<Attribute>(catalogue, &mut all);
    rows::<AttributeKey>(catalogue, &mut all);
    rows::<MetricBucket>(catalogue, &mut all);
    rows::<AttributeKeyBucket>(catalogue, &mut all);
    rows::<Template>(catalogue, &mut all);
    rows::<TemplateBucket>(catalogue, &mut all);
    for table in [Template::TABLE, TemplateBucket::TABLE] {
        let count = table.position("count").expect("templates are counted");
        all.get_mut(table.name).expect("all tables are there").retain(|row| row[count].as_int() != Some(0));
    }
    all
}

/// A drain is in order already, so that nobody has to sort it again.
fn assert_sorted(drained: &CatalogueDelta) {
    fn sorted<R: Record>(rows: &[R]) {
        let table: &Table = R::TABLE;
        let key = table.key_len();
        let rows: Vec<Row> = rows.iter().map(R::to_row).collect();
        assert!(rows.is_sorted_by(|a, b| a[..key] < b[..key]), "{} is not in order", table.name);
    }
    sorted(&drained.services);
    sorted(&drained.metrics);
    sorted(&drained.spans);
    sorted(&drained.span_patterns);
    sorted(&drained.logs);
    sorted(&drained.events);
    sorted(&drained.attributes);
    sorted(&drained.attribute_keys);
    sorted(&drained.metric_buckets);
    sorted(&drained.attribute_key_buckets);
    sorted(&drained.template_buckets);
    sorted(&drained.templates);
    // The others are those of pings and their watchers, of executions, and the dead letters.
    assert_eq!(TABLES.len(), 12 + 13, "a new table is in order, too");
}

fn sum_by<R, K: Ord, const N: usize>(
    rows: &[R],
    wanted: impl Fn(&R) -> bool,
    key: impl Fn(&R) -> K,
    numbers: impl Fn(&R) -> [u64; N],
) -> BTreeMap<K, [u64; N]> {
    let mut sums = BTreeMap::new();
    for row in rows.iter().filter(|row| wanted(row)) {
        let sum: &mut [u64; N] = sums.entry(key(row)).or_insert([0; N]);
        sum.iter_mut().zip(numbers(row)).for_each(|(sum, number)| *sum += number);
    }
    sums
}

/// The numbers of one table follow from those of another.
fn assert_adds_up(catalogue: &mut Catalogue, requests: &[Request]) {
    let sent = |signal| -> u64 {
        requests.iter().filter(|request| request.signal == signal).map(|request| request.records.len() as u64).sum()
    };
    let services = catalogue.rows::<Service>();
    let total = |of: fn(&Service) -> u64| services.iter().map(of).sum::<u64>();
    assert_eq!(total(|row| row.spans), sent(Signal::Span));
    assert_eq!(total(|row| row.log_records), sent(Signal::Log));
    assert_eq!(total(|row| row.metric_points), sent(Signal::Metric));

    let is_all = |service: &str| service == ALL_SERVICES;
    let spans = catalogue.rows::<Span>();
    let numbers = |row: &Span| {
        let kinds = row.kind_unspecified + row.kind_internal + row.kind_server + row.kind_client;
        let kinds = kinds + row.kind_producer + row.kind_consumer;
        assert_eq!((kinds, row.status_unset + row.status_ok + row.status_error), (row.sample_count, row.sample_count));
        [row.sample_count, row.events]
    };
    assert_eq!(
        sum_by(&spans, |row| is_all(&row.service), |row| row.name.clone(), numbers),
        sum_by(&spans, |row| !is_all(&row.service), |row| row.name.clone(), numbers),
    );
    assert_eq!(
        sum_by(&spans, |_| true, |row| (row.service.clone(), row.pattern.clone()), |row| [row.sample_count]),
        sum_by(
            &catalogue.rows::<SpanPattern>(),
            |_| true,
            |row| (row.service.clone(), row.pattern.clone()),
            |row| [row.sample_count],
        ),
    );

    let keys = catalogue.rows::<AttributeKey>();
    let over_services = |row: &AttributeKey| (row.signal, row.name.clone(), row.scope, row.key.clone());
    assert_eq!(
        sum_by(&keys, |row| is_all(&row.service), over_services, |row| [row.count]),
        sum_by(&keys, |row| !is_all(&row.service), over_services, |row| [row.count]),
    );
    assert_eq!(
        sum_by(&keys, |row| !is_all(&row.service), |row| (row.key.clone(), row.scope), |row| [row.count]),
        sum_by(&catalogue.rows::<Attribute>(), |_| true, |row| (row.key.clone(), row.scope), |row| [row.count]),
    );
    // The resource's service is on every record.
    for row in keys.iter().filter(|row| row.signal == Signal::Span) {
        let span = spans.iter().find(|span| span.service == row.service && span.name == row.name);
        let span = span.expect("the name of every key is there");
        assert!(row.count <= span.sample_count, "{row:?}");
        if row.scope == Scope::Resource && &*row.key == "service.name" {
            assert_eq!(row.count, span.sample_count);
        }
    }

    let key_buckets = catalogue.rows::<AttributeKeyBucket>();
    let recent = |row: &AttributeKeyBucket| row.start.0 > HOUR_START - 5 * 86_400 * SECOND;
    let by_day = |row: &AttributeKeyBucket| {
        (row.start.day(), row.signal, row.service.clone(), row.name.clone(), row.scope, row.key.clone())
    };
    assert_eq!(
        sum_by(&key_buckets, |row| row.window == Window::Day && recent(row), by_day, |row| [row.count]),
        sum_by(&key_buckets, |row| row.window == Window::Hour, by_day, |row| [row.count]),
    );

    let templates = catalogue.rows::<Template>();
    let bodies = requests.iter().filter(|request| request.signal == Signal::Log).flat_map(|request| &request.records);
    let with_template = bodies.filter(|sent| sent.name == 0 || sent.body != 5).count() as u64;
    assert_eq!(templates.iter().map(|row| row.count).sum::<u64>(), with_template);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn drains_and_restarts_change_nothing(requests in vec((request(), 0..6_usize), 0..24)) {
        let mut at_once = Catalogue::new(options());
        let mut in_pieces = Catalogue::new(options());
        let mut restarted = Catalogue::new(options());
        for (request, then) in &requests {
            let bytes = request.encode();
            let records = request.records.len() as u64;
            for catalogue in [&mut at_once, &mut in_pieces, &mut restarted] {
                assert_eq!(catalogue.observe(request.signal, &bytes).records, records);
            }
            match then {
                0 | 1 => assert_sorted(&in_pieces.flush()),
                2 => restarted.restart(),
                _ => {}
            }
        }
        assert_sorted(&at_once.flush());
        let requests: Vec<Request> = requests.into_iter().map(|(request, _)| request).collect();
        assert_adds_up(&mut at_once, &requests);
        let expected = contents(&mut at_once);
        for (name, rows) in contents(&mut in_pieces) {
            prop_assert_eq!(&rows, &expected[name], "{} in pieces", name);
        }
        for (name, rows) in contents(&mut restarted) {
            prop_assert_eq!(&rows, &expected[name], "{} with restarts", name);
        }
    }
}

#[test]
fn a_drain_costs_rows_by_keys_not_by_records() {
    let mut catalogue = Catalogue::default();
    for _ in 0..100 {
        let points = (0..10).map(|_| point(&[("a", "1"), ("b", "2")])).collect();
        catalogue.metrics(&metrics(&[("service.name", "shop")], vec![gauge("cpu", points)]));
    }
    let estimated = catalogue.fold.pending_rows();
    let drained = catalogue.flush();
    // 3 keys and the metric: each of the service, of all, by day and by hour. 3 attributes and the service.
    assert_eq!((drained.len(), drained.records()), (4 * 4 + 3 + 1, 1_000));
    assert!((10..=40).contains(&estimated), "{estimated}");
    assert!(catalogue.flush().is_empty());
}

#[test]
fn sketches_are_shared_where_only_one_hour_and_service_contributed() {
    let mut catalogue = Catalogue::default();
    catalogue.spans(&crate::support::spans(&[("service.name", "shop")], vec![span("x", &[("a", "1")])]));
    let drained = catalogue.flush();
    let sketches: Vec<_> = drained.attribute_keys.iter().filter(|row| &*row.key == "a").collect();
    assert_eq!(sketches.len(), 2);
    assert!(std::sync::Arc::ptr_eq(&sketches[0].distinct_values, &sketches[1].distinct_values));
}
