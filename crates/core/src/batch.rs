//! What is written: a batch of records that is committed whole, at most once.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::table::{Record, Row, Table, record};
use crate::{ALL_SERVICES, CatalogueDelta, Timestamp};

/// One of the kinds of record that are accounted for on their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Log records, spans and metric data points.
    Telemetry,
}

impl Family {
    /// The name in JSON and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Telemetry => "telemetry",
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
    /// Records of any family that could not be stored.
    pub dead_letters: Vec<DeadLetter>,
}

record! {
    /// A record that its store refused, kept with the reason.
    DeadLetter in "dead_letter" by Keep pruned by "at" {
        /// A UUID of version 7.
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
        let record = serde_json::Value::Object(fields.collect());
        Self {
            id: Uuid::now_v7().hyphenated().to_string().into(),
            at: Timestamp::now(),
            target: table.name.into(),
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
        let Self { catalogue, dead_letters } = self;
        catalogue.len() + dead_letters.len()
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives every table that has rows, with its rows sorted by key and each key once; stops at the first error.
    ///
    /// # Errors
    /// What `each` returns.
    pub fn for_each_table<E>(&self, mut each: impl FnMut(&'static Table, Vec<Row>) -> Result<(), E>) -> Result<(), E> {
        let Self { catalogue, dead_letters } = self;
        catalogue.for_each_table(&mut each)?;
        if dead_letters.is_empty() {
            return Ok(());
        }
        let table = DeadLetter::TABLE;
        each(table, table.normalise(dead_letters.iter().map(Record::to_row).collect()))
    }

    /// Two halves, for finding the row that a store refuses; `None` when there is only one row or move left.
    pub fn split(self) -> Option<(Self, Self)> {
        if self.len() < 2 {
            return None;
        }
        let mut second_len = self.len() / 2;
        let mut first = self;
        let dead_letters = take_back(&mut first.dead_letters, &mut second_len);
        let catalogue = first.catalogue.split_off(&mut second_len);
        Some((first, Self { catalogue, dead_letters }))
    }
}

/// Moves up to `wanted` items from the end of `items`, counting down `wanted`.
fn take_back<T>(items: &mut Vec<T>, wanted: &mut usize) -> Vec<T> {
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
