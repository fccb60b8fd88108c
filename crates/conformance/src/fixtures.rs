//! Random records: the same seed makes the same ones.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use tallybook_core::{
    ALL_SERVICES, AnnotationLevel, ArtifactKind, CatalogueDelta, Column, ColumnType, Execution, ExecutionStatus, HOUR,
    Histogram, LogChunk, MetricType, OVERFLOW, Record, Records, Resolution, Row, Rule, Scope, Severity, Signal, Sketch,
    Table, TemplateMove, Temporality, Timestamp, Value, Window, hash_bytes,
};

/// Words that sort, match or quote differently wherever a backend does not treat text as bytes.
const ODD_WORDS: &[&str] = &[
    ALL_SERVICES,
    OVERFLOW,
    "a",
    "A",
    "B",
    "ab",
    "a b",
    "ä",
    "Ä",
    "ss",
    "ß",
    "z",
    "%",
    "_",
    "a%",
    "a_c",
    "'",
    "''",
    "\"",
    "\\",
    "[a]",
    "*",
    "<*>",
    "\t",
    "\n",
    "\u{1}",
    "\u{7f}",
    "e\u{301}",
    "é",
    "🦀",
    "\u{ffff}",
    "\u{10ffff}",
    "10",
    "9",
];

/// Few of them, so that random rows meet under the same key.
const FEW_WORDS: &[&str] = &[ALL_SERVICES, "a", "B'", "ä%_"];

/// A maker of random records whose names are drawn from a fixed set, so that the same keys come again and again.
#[derive(Debug)]
pub struct Fixtures {
    pub(crate) random: StdRng,
    words: Vec<Arc<str>>,
    /// How many values of each enumeration are used.
    variants: usize,
    /// Whether numbers and times may be the greatest and smallest there are.
    pub(crate) extremes: bool,
}

impl Fixtures {
    /// Names and numbers that are as odd as can be.
    pub fn odd(seed: u64) -> Self {
        let words = ODD_WORDS.iter().map(|&word| word.into()).collect();
        Self { random: StdRng::seed_from_u64(seed), words, variants: usize::MAX, extremes: true }
    }

    /// So few names that rows often share a key.
    pub fn few(seed: u64) -> Self {
        let words = FEW_WORDS.iter().map(|&word| word.into()).collect();
        Self { random: StdRng::seed_from_u64(seed), words, variants: 2, extremes: true }
    }

    /// Plain names and numbers, for benchmarks: `names` (at least 1) different texts for every column.
    pub fn plain(seed: u64, names: usize) -> Self {
        let words = (0..names.max(1)).map(|name| format!("http.server.name_{name}").into()).collect();
        Self { random: StdRng::seed_from_u64(seed), words, variants: usize::MAX, extremes: false }
    }

    /// One of the names.
    pub fn word(&mut self) -> Arc<str> {
        self.words.choose(&mut self.random).map_or_else(|| ALL_SERVICES.into(), Clone::clone)
    }

    /// A record of any type.
    pub fn record<R: Record>(&mut self) -> R {
        R::from_row(self.row(R::TABLE)).expect("every column gets a value of its type")
    }

    /// A row of any table.
    pub fn row(&mut self, table: &Table) -> Row {
        let mut row = table.columns.iter().map(|column| self.value(column)).collect();
        table.derive(&mut row);
        row
    }

    /// Records of all kinds in turn, `count` together, and no moves.
    pub fn records(&mut self, count: usize) -> Records {
        let mut records = Records::default();
        for at in 0..count {
            self.add(at, &mut records);
        }
        records
    }

    /// The kinds of record that [`Fixtures::add`] knows.
    pub(crate) const KINDS: usize = 24;
    pub(crate) const PING: usize = 13;
    pub(crate) const TICK: usize = 15;

    /// Adds one record of that kind (counted round).
    pub fn add(&mut self, kind: usize, to: &mut Records) {
        let Records { catalogue, pings, ping_targets, alert_rules, probers, ticks, executions, dead_letters } = to;
        let CatalogueDelta {
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
            template_moves: _,
        } = catalogue;
        match kind % Self::KINDS {
            0 => services.push(self.record()),
            1 => metrics.push(self.record()),
            2 => spans.push(self.record()),
            3 => span_patterns.push(self.record()),
            4 => logs.push(self.record()),
            5 => events.push(self.record()),
            6 => attributes.push(self.record()),
            7 => attribute_keys.push(self.record()),
            8 => templates.push(self.record()),
            9 => metric_buckets.push(self.record()),
            10 => attribute_key_buckets.push(self.record()),
            11 => template_buckets.push(self.record()),
            12 => dead_letters.push(self.record()),
            Self::PING => pings.push(self.ping()),
            14 => ping_targets.push(self.record()),
            16 => alert_rules.push(self.record()),
            17 => probers.push(self.record()),
            Self::TICK => ticks.push(self.tick()),
            18 => executions.executions.push(self.execution()),
            19 => executions.steps.push(self.record()),
            20 => executions.annotations.push(self.record()),
            21 => executions.artifacts.push(self.record()),
            22 => executions.log_chunks.push(self.log_chunk()),
            _ => executions.cancel_requests.push(self.record()),
        }
    }

    /// One of few, so that their rows meet.
    fn execution_id(&mut self) -> Arc<str> {
        format!("0190a1b2-c3d4-7e5f-8a9b-00000000000{}", self.random.random_range(0..5)).into()
    }

    /// Fit to be stored, in a state of any revision.
    pub(crate) fn execution(&mut self) -> Execution {
        let mut execution = Execution { id: self.execution_id(), ..self.record() };
        if execution.name.is_empty() {
            execution.name = "job".into();
        }
        if execution.status == ExecutionStatus::Skipped {
            execution.status = ExecutionStatus::Running;
        }
        execution.revision =
            if execution.status.is_final() { Execution::FINAL } else { self.random.random_range(1..20) };
        execution.created_at = Timestamp(self.random.random_range(0..50) * HOUR / 7);
        execution
    }

    fn log_chunk(&mut self) -> LogChunk {
        LogChunk { lines: self.random.random_range(1..100), ..self.record() }
    }

    /// A move between two of the names.
    pub fn template_move(&mut self) -> TemplateMove {
        TemplateMove { service: self.word(), severity: self.one_of(Severity::ALL), from: self.word(), to: self.word() }
    }

    pub(crate) fn value(&mut self, column: &Column) -> Value {
        if column.nullable && self.random.random_ratio(1, 3) {
            return Value::Null;
        }
        if matches!(column.rule, Rule::Estimate(_)) {
            return Value::Int(0);
        }
        match column.column_type {
            ColumnType::Text => Value::Text(self.text(column.name)),
            ColumnType::Json if ["bounds", "quantiles"].contains(&column.name) => {
                self.one_of(&["[]", "[0.5,10.0]", r#"[0.25,1e300,"inf"]"#]).into()
            }
            ColumnType::Json if column.name == "command" => {
                self.one_of(&["[]", r#"["make","-j 4"]"#, r#"["é'\\"]"#]).into()
            }
            ColumnType::Json => self.one_of(&["{}", r#"{"team":"A"}"#, r#"{"a":"Ä%_'\"","b":""}"#]).into(),
            ColumnType::Int
                if ["monotonic", "success", "enabled", "deleted", "stop_on_error"].contains(&column.name) =>
            {
                Value::Int(self.random.random_range(0..2))
            }
            ColumnType::Int if self.extremes && self.random.random_ratio(1, 64) => Value::Int(i64::MAX),
            ColumnType::Int => Value::Int(self.random.random_range(0..100)),
            ColumnType::Time if column.name == "start" => Value::Int(self.random.random_range(-2..4) * HOUR),
            ColumnType::Time if self.extremes && self.random.random_ratio(1, 64) => {
                Value::Int(if self.random.random() { i64::MIN } else { i64::MAX })
            }
            ColumnType::Time => Value::Int(self.random.random_range(-50..50) * HOUR / 7),
            ColumnType::Sketch => Value::Sketch(Arc::new(self.sketch())),
            ColumnType::Histogram => Value::Histogram(Arc::new(self.histogram())),
            ColumnType::Bytes => {
                Value::Bytes((0..self.random.random_range(0..300)).map(|_| self.random.random()).collect())
            }
        }
    }

    fn text(&mut self, column: &str) -> Arc<str> {
        match column {
            "severity" => self.one_of(Severity::ALL).as_str().into(),
            "signal" => self.one_of(Signal::ALL).as_str().into(),
            "scope" => self.one_of(Scope::ALL).as_str().into(),
            "metric_type" => self.one_of(MetricType::ALL).as_str().into(),
            "temporality" => self.one_of(Temporality::ALL).as_str().into(),
            "resolution" => self.one_of(Resolution::ALL).as_str().into(),
            "execution" => self.execution_id(),
            "status" => self.one_of(ExecutionStatus::ALL).as_str().into(),
            "level" => self.one_of(AnnotationLevel::ALL).as_str().into(),
            "kind" => self.one_of(ArtifactKind::ALL).as_str().into(),
            "window" => self.one_of(&[Window::Hour, Window::Day]).as_str().into(),
            _ => self.word(),
        }
    }

    /// `of` holds at least one.
    pub(crate) fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.random.random_range(0..of.len().min(self.variants))]
    }

    /// Empty, exact or dense, of hashes that come again.
    fn sketch(&mut self) -> Sketch {
        let hashes = [0, 1, 3, 60, 200][self.random.random_range(0..5)];
        let mut sketch = Sketch::default();
        for _ in 0..hashes {
            sketch.insert(hash_bytes(&self.random.random_range(0..1000_u32).to_le_bytes()));
        }
        sketch
    }

    fn histogram(&mut self) -> Histogram {
        let mut histogram = Histogram::default();
        for _ in 0..self.random.random_range(0..20) {
            histogram.insert(self.random.random_range(0..1_000_000));
        }
        histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn records_of_all_kinds_fill_every_table() {
        let store = tallybook_store_memory::MemoryStore::new();
        let records = Fixtures::odd(1).records(Fixtures::KINDS);
        assert_eq!(records.len(), Fixtures::KINDS);
        crate::support::commit(&store, records).await;
        let stored = crate::support::contents(&store).await;
        assert!(stored.rows.iter().all(|rows| !rows.is_empty()) && !stored.ticks.is_empty());
    }

    #[test]
    fn the_same_seed_makes_the_same_records() {
        assert_eq!(Fixtures::odd(7).records(100), Fixtures::odd(7).records(100));
        assert_ne!(Fixtures::odd(7).records(100), Fixtures::odd(8).records(100));
    }
}
