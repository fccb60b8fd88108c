//! What is written: a batch of records that is committed whole, at most once.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::table::{Record, Row, Table, record};
use crate::{
    ALL_SERVICES, AlertRules, CatalogueDelta, Error, ExecutionRecords, Ping, PingSeen, PingTarget, Prober, Tick,
    Timestamp,
};

/// One of the kinds of record that are accounted for on their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Log records, spans and metric data points.
    Telemetry,
    /// Probes of hosts and their answers.
    Ping,
    /// Quotes of price feeds.
    Tick,
    /// What jobs did.
    Execution,
}

impl Family {
    /// The name in JSON and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Telemetry => "telemetry",
            Self::Ping => "ping",
            Self::Tick => "tick",
            Self::Execution => "execution",
        }
    }
}

/// One ordered stream of batches. Minted when its process starts: with a fixed one, two processes would swallow each
/// other's batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub Uuid);

impl SourceId {
    /// A new source.
    pub fn mint() -> Self {
        Self(Uuid::now_v7())
    }

    /// The source of that name, the same in every process and for ever: what is sent again under it is known again. For
    /// importers and for a client's idempotency key, never for a process.
    pub fn named(name: &str) -> Self {
        const NAMESPACE: Uuid = Uuid::from_u128(0x7a11_b00c_5eed_4000_8000_0000_0000_0001);
        Self(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// Names a batch: the store applies no batch whose `seq` is not above the last one of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchId {
    /// The stream it belongs to.
    pub source: SourceId,
    /// Its place in the stream; rises from batch to batch, gaps are fine.
    pub seq: u64,
}

/// When a commit may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ack {
    /// Once committed: survives the death of the process.
    Written,
    /// Once on disk: survives the loss of power.
    Durable,
}

/// Records that are committed together.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Its name; the same when it is sent again.
    pub id: BatchId,
    /// When the commit may answer.
    pub ack: Ack,
    /// What it holds.
    pub records: Records,
}

/// The records of a batch, by family. Backends destructure it without `..`, so the compiler names those that have not
/// heard of a new family.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records {
    /// The telemetry family.
    pub catalogue: CatalogueDelta,
    /// The ping family.
    pub pings: Vec<Ping>,
    /// Targets to probe.
    pub ping_targets: Vec<PingTarget>,
    /// What to tell operators of.
    pub alert_rules: Vec<AlertRules>,
    /// Servers that probe.
    pub probers: Vec<Prober>,
    /// The tick family.
    pub ticks: Vec<Tick>,
    /// The execution family.
    pub executions: ExecutionRecords,
    /// Records of any family that could not be stored.
    pub dead_letters: Vec<DeadLetter>,
}

record! {
    /// A record that its store refused, kept with the reason.
    DeadLetter in "dead_letter" by Keep pruned by "at" {
        /// A UUID.
        id: Arc<str> => Key,
        /// When it was put aside.
        at: Timestamp => First,
        /// The table it was meant for.
        target: Arc<str> => First,
        /// What the store said.
        error: Arc<str> => First,
        /// The row, as JSON.
        record: Arc<str> => First,
    }
}

impl DeadLetter {
    /// A row of `table` that was refused with `error`.
    pub fn new(table: &Table, row: &Row, error: &str) -> Self {
        let fields = table.columns.iter().zip(row).map(|(column, value)| (column.name.to_owned(), value.to_json()));
        Self::of(table.name, error, &serde_json::Value::Object(fields.collect()))
    }

    /// Input for the table of the name `target` that could not be read: the line (or the element of an array) it stood in,
    /// counted from 1, and its text.
    pub fn unread(target: &str, line: u64, error: &str, text: &str) -> Self {
        Self::of(target, &format!("line {line}: {error}"), &serde_json::Value::from(text))
    }

    /// The same for a place in a file, such as `feed.csv:17`: for the same input at the same place it is the same letter, each
    /// time it is made.
    pub fn unread_at(target: &str, place: &str, error: &str, text: &str) -> Self {
        const NAMESPACE: Uuid = Uuid::from_u128(0x7a11_b00c_1e77_4000_8000_0000_0000_0002);
        let id = Uuid::new_v5(&NAMESPACE, format!("{target}\0{place}\0{text}").as_bytes());
        let letter = Self::of(target, &format!("{place}: {error}"), &serde_json::Value::from(text));
        Self { id: id.hyphenated().to_string().into(), ..letter }
    }

    /// Something that was meant for `target` and refused with `error`, as it is now put aside.
    pub fn of(target: &str, error: &str, record: &serde_json::Value) -> Self {
        Self {
            id: Uuid::now_v7().hyphenated().to_string().into(),
            at: Timestamp::now(),
            target: target.into(),
            error: error.into(),
            record: record.to_string().into(),
        }
    }
}

/// What a commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Whether the batch was new.
    pub outcome: Outcome,
    /// What became of its pings. Of the last batch of a source that is sent again, what became of them the first time.
    pub pings: Counts,
    /// What became of its ticks, likewise.
    pub ticks: Counts,
    /// What became of its rows of executions, likewise.
    pub executions: Counts,
}

/// What became of the records of one family in a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows of their own.
    pub stored: u64,
    /// Went into a row that was there.
    pub merged: u64,
    /// Were there already.
    pub duplicate: u64,
}

/// Whether a batch was new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was applied now.
    Applied,
    /// It had been applied before; nothing changed.
    Duplicate,
}

impl Records {
    /// Rows and moves, each of which costs the store about one statement.
    pub fn len(&self) -> usize {
        let Self { catalogue, pings, ping_targets, alert_rules, probers, ticks, executions, dead_letters } = self;
        let settings = ping_targets.len() + alert_rules.len() + probers.len();
        catalogue.len() + pings.len() + settings + ticks.len() + executions.len() + dead_letters.len()
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives every table that has rows to fold, with its rows sorted by key and each key once; stops at the first error.
    /// Pings ([`crate::PingPlan`]) and ticks have ways of their own.
    ///
    /// # Errors
    /// What `each` returns.
    pub fn for_each_table<E>(&self, mut each: impl FnMut(&'static Table, Vec<Row>) -> Result<(), E>) -> Result<(), E> {
        let Self { catalogue, pings, ping_targets, alert_rules, probers, ticks: _, executions, dead_letters } = self;
        catalogue.for_each_table(&mut each)?;
        for_rows(&PingSeen::of(pings), &mut each)?;
        for_rows(ping_targets, &mut each)?;
        for_rows(alert_rules, &mut each)?;
        for_rows(probers, &mut each)?;
        executions.for_each_table(&mut each)?;
        for_rows(dead_letters, &mut each)
    }

    /// Refuses a ping, a tick or a row of an execution that no store can keep; every store calls it before it writes anything.
    ///
    /// # Errors
    /// `Invalid`, with the defect.
    pub fn check(&self, operation: &'static str) -> crate::Result<()> {
        let ping = |ping: &Ping| Some(format!("the ping of `{}` at {}: {}", ping.target, ping.time, ping.defect()?));
        let tick = |tick: &Tick| Some(format!("the tick of `{}` at {}: {}", tick.symbol, tick.time, tick.defect()?));
        let defect = self.pings.iter().find_map(ping).or_else(|| self.ticks.iter().find_map(tick));
        let defect = defect.or_else(|| self.executions.defect());
        defect.map_or(Ok(()), |defect| Err(Error::invalid(operation, defect)))
    }

    /// Two halves, for finding the row that a store refuses; `None` when there is only one row or move left.
    pub fn split(self) -> Option<(Self, Self)> {
        if self.len() < 2 {
            return None;
        }
        let mut first = self;
        if let Some(ticks) = take_later_days(&mut first.ticks) {
            return Some((first, Self { ticks, ..Self::default() }));
        }
        let mut second_len = first.len() / 2;
        let dead_letters = take_back(&mut first.dead_letters, &mut second_len);
        let executions = first.executions.split_off(&mut second_len);
        let ticks = take_back(&mut first.ticks, &mut second_len);
        let probers = take_back(&mut first.probers, &mut second_len);
        let alert_rules = take_back(&mut first.alert_rules, &mut second_len);
        let ping_targets = take_back(&mut first.ping_targets, &mut second_len);
        let pings = take_back(&mut first.pings, &mut second_len);
        let catalogue = first.catalogue.split_off(&mut second_len);
        Some((first, Self { catalogue, pings, ping_targets, alert_rules, probers, ticks, executions, dead_letters }))
    }
}

/// Gives the rows of one type, where there are any, to `each`: sorted by key and each key once.
pub(crate) fn for_rows<R: Record, E>(
    records: &[R],
    each: &mut impl FnMut(&'static Table, Vec<Row>) -> Result<(), E>,
) -> Result<(), E> {
    if records.is_empty() {
        return Ok(());
    }
    each(R::TABLE, R::TABLE.normalise(records.iter().map(Record::to_row).collect()))
}

/// Leaves the ticks of one day, where there are several: a day whose file is refused must not take others with it.
fn take_later_days(ticks: &mut Vec<Tick>) -> Option<Vec<Tick>> {
    let first = ticks.first()?.time.day();
    if ticks.iter().all(|tick| tick.time.day() == first) {
        return None;
    }
    let (one_day, others) = std::mem::take(ticks).into_iter().partition(|tick| tick.time.day() == first);
    *ticks = one_day;
    Some(others)
}

/// Moves up to `wanted` items from the end of `items`, counting down `wanted`.
pub(crate) fn take_back<T>(items: &mut Vec<T>, wanted: &mut usize) -> Vec<T> {
    let taken = items.split_off(items.len() - items.len().min(*wanted));
    *wanted -= taken.len();
    taken
}

impl CatalogueDelta {
    /// Rows and moves.
    pub fn len(&self) -> usize {
        let Self {
            services,
            metrics,
            spans,
            span_patterns,
            logs,
            events,
            attributes,
            attribute_keys,
            templates,
            metric_buckets,
            attribute_key_buckets,
            template_buckets,
            template_moves,
        } = self;
        services.len()
            + metrics.len()
            + spans.len()
            + span_patterns.len()
            + logs.len()
            + events.len()
            + attributes.len()
            + attribute_keys.len()
            + templates.len()
            + metric_buckets.len()
            + attribute_key_buckets.len()
            + template_buckets.len()
            + template_moves.len()
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The log records, spans and data points that are counted here.
    pub fn records(&self) -> u64 {
        let metrics = self.metrics.iter().map(|row| (&row.service, row.sample_count));
        let spans = self.spans.iter().map(|row| (&row.service, row.sample_count));
        let logs = self.logs.iter().map(|row| (&row.service, row.sample_count));
        metrics
            .chain(spans)
            .chain(logs)
            .filter(|(service, _)| service.as_ref() != ALL_SERVICES)
            .map(|(_, count)| count)
            .sum()
    }

    /// Moves are applied after rows, so they are the first to leave for the later half.
    fn split_off(&mut self, wanted: &mut usize) -> Self {
        let template_moves = take_back(&mut self.template_moves, wanted);
        let template_buckets = take_back(&mut self.template_buckets, wanted);
        let attribute_key_buckets = take_back(&mut self.attribute_key_buckets, wanted);
        let metric_buckets = take_back(&mut self.metric_buckets, wanted);
        let templates = take_back(&mut self.templates, wanted);
        let attribute_keys = take_back(&mut self.attribute_keys, wanted);
        let attributes = take_back(&mut self.attributes, wanted);
        let events = take_back(&mut self.events, wanted);
        let logs = take_back(&mut self.logs, wanted);
        let span_patterns = take_back(&mut self.span_patterns, wanted);
        let spans = take_back(&mut self.spans, wanted);
        let metrics = take_back(&mut self.metrics, wanted);
        let services = take_back(&mut self.services, wanted);
        Self {
            services,
            metrics,
            spans,
            span_patterns,
            logs,
            events,
            attributes,
            attribute_keys,
            templates,
            metric_buckets,
            attribute_key_buckets,
            template_buckets,
            template_moves,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_hold_every_row_once_and_end_at_single_rows() {
        let service = |name: &str| crate::Service {
            name: name.into(),
            metric_points: 0,
            spans: 0,
            log_records: 1,
            first_seen: Timestamp(1),
            last_seen: Timestamp(2),
        };
        let letter = DeadLetter::new(crate::Service::TABLE, &service("x").to_row(), "refused");
        let whole = Records {
            catalogue: CatalogueDelta {
                services: ["a", "b", "c"].map(service).to_vec(),
                template_moves: vec![crate::TemplateMove {
                    service: "a".into(),
                    severity: crate::Severity::Info,
                    from: "x".into(),
                    to: "<*>".into(),
                }],
                ..CatalogueDelta::default()
            },
            dead_letters: vec![letter],
            ..Records::default()
        };
        let mut waiting = vec![whole];
        let mut singles = 0;
        while let Some(records) = waiting.pop() {
            let len = records.len();
            match records.split() {
                Some((first, second)) => {
                    assert_eq!(first.len() + second.len(), len);
                    waiting.extend([first, second]);
                }
                None => singles += len,
            }
        }
        assert_eq!(singles, 5);
    }
}
