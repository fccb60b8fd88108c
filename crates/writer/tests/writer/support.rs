//! A store that misbehaves on demand, requests, and questions that many tests ask.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tallybook_conformance::Chaos;
use tallybook_core::{
    ALL_SERVICES, Ack, Batch, BatchId, Changes, Committed, Condition, Cursor, DeadLetter, Error, ErrorKind, Family,
    Info, Ping, Query, Record, Result, Row, RowPage, Segment, Signal, Store, StoreExt, SymbolSummary, Table, Tick,
    TickFlags, TickQuery, TickStore, TimeRange, Timestamp,
};
use tallybook_store_memory::MemoryStore;
use tallybook_telemetry::{Fold, FoldOptions};
use tallybook_writer::{Accounting, Observed, QueueOptions, Refused, Stats, Writer, WriterOptions};
use tokio::time::{Instant, sleep};

/// A commit that was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    pub(crate) id: BatchId,
    pub(crate) ack: Ack,
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
}

type Plan = Box<dyn Fn(u64) -> Fault + Send + Sync>;

/// What a commit does instead of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Fails for now, and nothing is stored.
    Unavailable,
    /// Does not say whether it happened; it did not.
    UnknownBefore,
    /// Does not say whether it happened; it did.
    UnknownAfter,
    /// Dies after a second.
    Panic,
}

/// A memory store whose commits are watched, and fail by chance (see [`Chaos`]) or by plan.
#[derive(Debug)]
pub(crate) struct Unruly {
    pub(crate) chaos: Chaos,
    /// Whether it says that others may write to it.
    shared: bool,
    watched: Mutex<Watched>,
}

struct Watched {
    attempts: Vec<Attempt>,
    plan: Plan,
    refused_symbol: Option<&'static str>,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.attempts.fmt(f)
    }
}

impl Unruly {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::with_shared(false))
    }

    /// For several writers.
    pub(crate) fn shared() -> Arc<Self> {
        Arc::new(Self::with_shared(true))
    }

    fn with_shared(shared: bool) -> Self {
        let watched = Watched { attempts: Vec::new(), plan: Box::new(|_| Fault::None), refused_symbol: None };
        Self { chaos: Chaos::new(Arc::new(MemoryStore::new())), shared, watched: Mutex::new(watched) }
    }

    /// The n-th commit (from 0) does what `plan` says.
    pub(crate) fn fails(&self, plan: impl Fn(u64) -> Fault + Send + Sync + 'static) {
        self.watched.lock().unwrap().plan = Box::new(plan);
    }

    /// From now on a batch with a tick of this symbol is refused.
    pub(crate) fn refuse_ticks(&self, symbol: &'static str) {
        self.watched.lock().unwrap().refused_symbol = Some(symbol);
    }

    fn check_ticks(&self, batch: &Batch) -> Result<()> {
        let refused = self.watched.lock().unwrap().refused_symbol;
        match batch.records.ticks.iter().find(|tick| Some(tick.symbol.as_ref()) == refused) {
            Some(tick) => Err(Error::invalid("committing a batch", format!("no ticks of {} are taken", tick.symbol))),
            None => Ok(()),
        }
    }

    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        self.watched.lock().unwrap().attempts.clone()
    }

    /// The spans of all services by name.
    pub(crate) async fn spans(&self) -> BTreeMap<String, u64> {
        let all = Query::new(1000).filter(Condition::Equals("service", ALL_SERVICES.into()));
        let spans = self.list_all::<tallybook_core::Span>(all).await.unwrap();
        spans.into_iter().map(|span| (span.name.to_string(), span.sample_count)).collect()
    }

    /// The ticks of a symbol, in order.
    pub(crate) async fn ticks_of(&self, symbol: &str) -> Vec<Tick> {
        let range = TimeRange { from: Timestamp(0), to: Timestamp(i64::MAX) };
        let query = TickQuery { symbol: symbol.into(), range, after: None, newest_first: false, limit: usize::MAX };
        self.ticks(&query).await.unwrap()
    }

    pub(crate) async fn dead_letters(&self) -> Vec<DeadLetter> {
        self.list_all(Query::new(1000)).await.unwrap()
    }
}

#[async_trait]
impl Store for Unruly {
    fn info(&self) -> Info {
        Info { shared: self.shared, ..self.chaos.info() }
    }

    async fn commit(&self, batch: Arc<Batch>) -> Result<Committed> {
        let begun = Instant::now();
        let (id, ack) = (batch.id, batch.ack);
        let fault = {
            let watched = self.watched.lock().unwrap();
            (watched.plan)(watched.attempts.len() as u64)
        };
        let broken = |context| Error::new(ErrorKind::Unavailable, "committing a batch", context);
        let answer = match fault {
            Fault::None => match self.check_ticks(&batch) {
                Ok(()) => self.chaos.commit(batch).await,
                Err(error) => Err(error),
            },
            Fault::Unavailable => Err(broken("the store is away")),
            Fault::UnknownBefore => Err(broken("the connection broke").applied_unknown()),
            Fault::UnknownAfter => {
                self.chaos.commit(batch).await.and(Err(broken("the connection broke").applied_unknown()))
            }
            Fault::Panic => {
                sleep(Duration::from_secs(1)).await;
                panic!("the store has a defect");
            }
        };
        self.watched.lock().unwrap().attempts.push(Attempt { id, ack, begun, ended: Instant::now() });
        answer
    }

    async fn select(&self, table: &'static Table, query: &Query) -> Result<RowPage> {
        self.chaos.select(table, query).await
    }

    async fn behind(&self, cursor: &Cursor) -> Result<u64> {
        self.chaos.behind(cursor).await
    }

    async fn changes(&self, cursor: &Cursor, limit: usize) -> Result<Changes> {
        self.chaos.changes(cursor, limit).await
    }

    async fn prune(
        &self,
        table: &'static Table,
        before: Timestamp,
        conditions: &[Condition],
        limit: usize,
    ) -> Result<u64> {
        self.chaos.prune(table, before, conditions, limit).await
    }

    async fn close(&self) -> Result<()> {
        self.chaos.close().await
    }
}

#[async_trait]
impl TickStore for Unruly {
    async fn ticks(&self, query: &TickQuery) -> Result<Vec<Tick>> {
        self.chaos.ticks(query).await
    }

    async fn symbols(&self, range: TimeRange) -> Result<Vec<SymbolSummary>> {
        self.chaos.symbols(range).await
    }

    async fn segments(&self) -> Result<Vec<Segment>> {
        self.chaos.segments().await
    }

    async fn seal(&self, day: Timestamp) -> Result<Segment> {
        self.chaos.seal(day).await
    }

    async fn unseal(&self, day: Timestamp) -> Result<Segment> {
        self.chaos.unseal(day).await
    }

    async fn drop_segment(&self, day: Timestamp) -> Result<u64> {
        self.chaos.drop_segment(day).await
    }
}

/// A request with one span of each name.
pub(crate) fn request<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Bytes {
    let service = AnyValue { value: Some(any_value::Value::StringValue("shop".into())) };
    let spans = names.into_iter().map(|name| Span { name: name.as_ref().into(), ..Span::default() }).collect();
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![KeyValue { key: "service.name".into(), value: Some(service), ..KeyValue::default() }],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    };
    request.encode_to_vec().into()
}

pub(crate) fn start(store: &Arc<Unruly>, options: &WriterOptions) -> Writer {
    Writer::start(store.clone(), Fold::new(FoldOptions::default()), *options)
}

pub(crate) fn with_queue(telemetry: QueueOptions) -> WriterOptions {
    WriterOptions { telemetry, ..WriterOptions::default() }
}

/// Writes one span of each name.
pub(crate) async fn write<S: AsRef<str>>(
    writer: &Writer,
    names: impl IntoIterator<Item = S>,
) -> Result<Observed, Refused> {
    writer.telemetry(Signal::Span, request(names), Timestamp::now()).await
}

/// A tick of now and `millis` whose producer numbered it.
pub(crate) fn tick(symbol: &str, millis: i64, seq: u64) -> Tick {
    let time = Timestamp(NOW.0 + millis * 1_000_000);
    let quote = Tick::new(symbol, time, "1.08500".parse().ok(), "1.08510".parse().ok());
    Tick { source: "lp".into(), received: NOW, ..quote.numbered(seq) }
}

/// A tick that is to be numbered.
pub(crate) fn unnumbered(symbol: &str, millis: i64) -> Tick {
    Tick { flags: TickFlags::SEQ_ASSIGNED, ..tick(symbol, millis, 0) }
}

pub(crate) fn ping(target: &str, millis: i64, latency: Option<u64>) -> Ping {
    Ping::new(target, Timestamp(NOW.0 + millis * 1_000_000), latency)
}

/// Later than any test: numbers count from 0 after the start of a process.
pub(crate) const NOW: Timestamp = Timestamp(4_000_000_000_000_000_000);

/// The account of telemetry, which has to balance.
pub(crate) fn account(stats: &Stats) -> Accounting {
    account_of(Family::Telemetry, stats)
}

/// The account of a family, which has to balance.
pub(crate) fn account_of(family: Family, stats: &Stats) -> Accounting {
    let account = stats.families[&family];
    let Accounting { offered, stored, merged, duplicate, rejected, shed, queued } = account;
    assert_eq!(offered, stored + merged + duplicate + rejected + shed + queued, "{account:?}");
    account
}

/// The place of a column that the table has for sure.
pub(crate) fn text<'a>(table: &Table, row: &'a Row, column: &str) -> &'a str {
    row[table.position(column).unwrap()].as_text().unwrap()
}

/// Whether the row is a span of that name.
pub(crate) fn is_span(table: &Table, row: &Row, name: &str) -> bool {
    table.name == tallybook_core::Span::TABLE.name && text(table, row, "name") == name
}
