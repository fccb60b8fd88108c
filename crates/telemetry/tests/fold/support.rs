//! Requests in a few words, and a fold with a store under it.

use futures_util::FutureExt;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tallybook_core::{
    Ack, AttributeKey, AttributeKeyBucket, Batch, BatchId, CatalogueDelta, Event, Query, Record, Records, Scope,
    Service, Signal, SourceId, Store, StoreExt, Template, Timestamp,
};
use tallybook_store_memory::MemoryStore;
use tallybook_telemetry::{Fold, FoldOptions, Known, Observed};

/// The start of an hour in the middle of a day.
pub(crate) const HOUR_START: i64 = 1_700_046_000_000_000_000;
pub(crate) const SECOND: i64 = 1_000_000_000;
/// When records happen unless they say otherwise.
pub(crate) const TIME: u64 = HOUR_START as u64 + 5 * 60_000_000_000;
/// When requests come.
pub(crate) const RECEIVED: Timestamp = Timestamp(TIME as i64 + SECOND);

pub(crate) type Pairs<'a> = &'a [(&'a str, &'a str)];

pub(crate) fn string(text: &str) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(text.into())) }
}

pub(crate) fn pair(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.into(), value: Some(value), ..KeyValue::default() }
}

pub(crate) fn pairs(attributes: Pairs<'_>) -> Vec<KeyValue> {
    attributes.iter().map(|(key, value)| pair(key, string(value))).collect()
}

pub(crate) fn kvlist(attributes: Pairs<'_>) -> AnyValue {
    AnyValue { value: Some(Value::KvlistValue(KeyValueList { values: pairs(attributes) })) }
}

pub(crate) fn span(name: &str, attributes: Pairs<'_>) -> Span {
    Span { name: name.into(), start_time_unix_nano: TIME, attributes: pairs(attributes), ..Span::default() }
}

pub(crate) fn log(body: &str, attributes: Pairs<'_>) -> LogRecord {
    LogRecord {
        time_unix_nano: TIME,
        severity_number: 9,
        body: Some(string(body)),
        attributes: pairs(attributes),
        ..LogRecord::default()
    }
}

pub(crate) fn point(attributes: Pairs<'_>) -> NumberDataPoint {
    NumberDataPoint { time_unix_nano: TIME, attributes: pairs(attributes), ..NumberDataPoint::default() }
}

pub(crate) fn gauge(name: &str, data_points: Vec<NumberDataPoint>) -> Metric {
    metric(name, Data::Gauge(Gauge { data_points }))
}

pub(crate) fn metric(name: &str, data: Data) -> Metric {
    Metric { name: name.into(), data: Some(data), ..Metric::default() }
}

fn resource(attributes: Pairs<'_>) -> Resource {
    Resource { attributes: pairs(attributes), ..Resource::default() }
}

pub(crate) fn scope(name: &str, version: &str, attributes: Pairs<'_>) -> InstrumentationScope {
    let (name, version, attributes) = (name.into(), version.into(), pairs(attributes));
    InstrumentationScope { name, version, attributes, ..InstrumentationScope::default() }
}

/// A request of one resource, with one group of spans for each scope.
pub(crate) fn scoped_spans(attributes: Pairs<'_>, groups: Vec<(InstrumentationScope, Vec<Span>)>) -> Vec<u8> {
    let group = |(scope, spans)| ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() };
    let scope_spans = groups.into_iter().map(group).collect();
    let resource_spans =
        vec![ResourceSpans { resource: Some(resource(attributes)), scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

pub(crate) fn spans(attributes: Pairs<'_>, spans: Vec<Span>) -> Vec<u8> {
    scoped_spans(attributes, vec![(InstrumentationScope::default(), spans)])
}

pub(crate) fn logs(attributes: Pairs<'_>, log_records: Vec<LogRecord>) -> Vec<u8> {
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    let resource_logs =
        vec![ResourceLogs { resource: Some(resource(attributes)), scope_logs, ..ResourceLogs::default() }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

pub(crate) fn scoped_metrics(attributes: Pairs<'_>, scope: InstrumentationScope, metrics: Vec<Metric>) -> Vec<u8> {
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }];
    let resource = Some(resource(attributes));
    let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

pub(crate) fn metrics(attributes: Pairs<'_>, metrics: Vec<Metric>) -> Vec<u8> {
    scoped_metrics(attributes, InstrumentationScope::default(), metrics)
}

pub(crate) const SHOP: Pairs<'static> = &[("service.name", "shop")];

/// A fold and the store that its drains go to.
pub(crate) struct Catalogue {
    pub(crate) fold: Fold,
    options: FoldOptions,
    store: MemoryStore,
    id: BatchId,
}

impl Catalogue {
    pub(crate) fn new(options: FoldOptions) -> Self {
        Self {
            fold: Fold::new(options.clone()),
            options,
            store: MemoryStore::new(),
            id: BatchId { source: SourceId::mint(), seq: 0 },
        }
    }

    pub(crate) fn spans(&mut self, request: &[u8]) -> Observed {
        self.observe(Signal::Span, request)
    }

    pub(crate) fn logs(&mut self, request: &[u8]) -> Observed {
        self.observe(Signal::Log, request)
    }

    pub(crate) fn metrics(&mut self, request: &[u8]) -> Observed {
        self.observe(Signal::Metric, request)
    }

    pub(crate) fn observe(&mut self, signal: Signal, request: &[u8]) -> Observed {
        self.fold.observe(signal, request, RECEIVED).expect("a valid request")
    }

    /// Drains into the store; gives what was drained.
    pub(crate) fn flush(&mut self) -> CatalogueDelta {
        let records = self.fold.pending_records();
        let catalogue = self.fold.drain();
        assert_eq!(catalogue.records(), records);
        assert_eq!((self.fold.pending_records(), self.fold.pending_rows(), self.fold.pending_bytes()), (0, 0, 0));
        self.id.seq += 1;
        let records = Records { catalogue: catalogue.clone(), ..Records::default() };
        let batch = Batch { id: self.id, ack: Ack::Written, records };
        self.store.commit(batch.into()).now_or_never().expect("nothing to wait for").expect("a commit");
        catalogue
    }

    /// Goes on with a new fold that knows what the store knows.
    pub(crate) fn restart(&mut self) {
        self.flush();
        self.fold = Fold::new(self.options.clone());
        self.fold.restore(&self.known());
    }

    pub(crate) fn known(&self) -> Known {
        Known {
            services: self.stored(),
            metrics: self.stored(),
            spans: self.stored(),
            attribute_keys: self.stored(),
            events: self.stored(),
            templates: self.stored(),
        }
    }

    /// All rows of a table, after a drain.
    pub(crate) fn rows<R: Record>(&mut self) -> Vec<R> {
        self.flush();
        self.stored()
    }

    fn stored<R: Record>(&self) -> Vec<R> {
        let query = Query::new(10_000).with_sketches();
        self.store.list_all(query).now_or_never().expect("nothing to wait for").expect("a list")
    }

    /// The one row that is wanted.
    pub(crate) fn row<R: Record + std::fmt::Debug>(&mut self, wanted: impl Fn(&R) -> bool) -> R {
        let rows: Vec<R> = self.rows::<R>().into_iter().filter(wanted).collect();
        let [row] = <[R; 1]>::try_from(rows).unwrap_or_else(|rows| panic!("{} rows: {rows:?}", rows.len()));
        row
    }

    /// The row of a key of a service's name.
    pub(crate) fn key(&mut self, service: &str, name: &str, scope: Scope, key: &str) -> AttributeKey {
        self.row(|row: &AttributeKey| (&*row.service, &*row.name, row.scope, &*row.key) == (service, name, scope, key))
    }

    pub(crate) fn key_buckets(&mut self, key: &str) -> Vec<AttributeKeyBucket> {
        let mut rows = self.rows::<AttributeKeyBucket>();
        rows.retain(|row| &*row.key == key);
        rows
    }

    pub(crate) fn event(&mut self, service: &str, name: &str, event: &str) -> Event {
        self.row(|row: &Event| (&*row.service, &*row.name, &*row.event) == (service, name, event))
    }

    pub(crate) fn service(&mut self, name: &str) -> Service {
        self.row(|row: &Service| &*row.name == name)
    }

    /// The live templates with their counts, in order.
    pub(crate) fn templates(&mut self) -> Vec<(String, u64)> {
        let rows = self.rows::<Template>().into_iter().filter(|row| row.count > 0);
        rows.map(|row| (row.template.to_string(), row.count)).collect()
    }
}

impl Default for Catalogue {
    fn default() -> Self {
        Self::new(FoldOptions::default())
    }
}
