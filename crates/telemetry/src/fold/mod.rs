//! Folds OTLP requests in memory into what the catalogue has to be told: a flush costs rows in proportion to the distinct
//! keys that were touched, not to the records.
//!
//! What is **known** (services, names, keys, templates) lives as long as the fold and holds no numbers. What was **counted**
//! since the last drain is kept by the hour in which it happened, and is given away by a drain. Names, keys and templates
//! have budgets ([`FoldOptions`]); past one of them everything is counted under [`tallybook_core::OVERFLOW`].

mod body;
mod book;
mod clean;
mod drain;
mod keys;
mod known;
mod logs;
mod metrics;
mod names;
mod options;
mod pass;
mod pattern;
mod services;
mod severity;
mod shared;
mod spans;
mod stats;
mod tally;
mod templates;
mod texts;
mod window;

use tallybook_core::{CatalogueDelta, Signal, Timestamp};

pub use self::known::Known;
pub use self::options::FoldOptions;
pub use self::stats::{FoldStats, Observed, Overflowed};

use self::book::NameLimits;
use self::keys::{Keys, MAX_TEXTS};
use self::logs::{LogBook, LogPass};
use self::metrics::{MetricBook, MetricPass};
use self::pass::Pass;
use self::shared::{Pending, Shared};
use self::spans::{SpanBook, SpanPass};
use self::window::Clock;
use crate::DecodeError;
use crate::otlp::{self, Request};

/// Counts what requests carry, and gives it away as rows.
///
/// ```
/// use tallybook_core::{Signal, Timestamp};
/// use tallybook_telemetry::{Fold, FoldOptions};
///
/// let mut fold = Fold::new(FoldOptions::default());
/// let observed = fold.observe(Signal::Log, &[], Timestamp::now())?;
/// assert_eq!(observed.records, 0);
/// assert!(fold.drain().is_empty());
/// # Ok::<(), tallybook_telemetry::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct Fold {
    shared: Shared,
    metrics: MetricBook,
    spans: SpanBook,
    logs: LogBook,
    records: u64,
    rejected: u64,
    times_corrected: u64,
    invalid_utf8: u64,
}

impl Fold {
    /// A fold that knows nothing yet.
    pub fn new(mut options: FoldOptions) -> Self {
        options.max_keys_per_name = options.max_keys_per_name.min(Keys::MAX_PER_KIND);
        options.max_events_per_name = options.max_events_per_name.min(Keys::MAX_PER_KIND);
        options.max_keys_total = options.max_keys_total.min(MAX_TEXTS - 1);
        Self {
            shared: Shared::new(options),
            metrics: MetricBook::new(),
            spans: SpanBook::new(),
            logs: LogBook::new(),
            records: 0,
            rejected: 0,
            times_corrected: 0,
            invalid_utf8: 0,
        }
    }

    /// Counts a whole export request in protobuf, which came at `received`.
    ///
    /// # Errors
    /// When the request cannot be read; then nothing of it is counted.
    pub fn observe(&mut self, signal: Signal, request: &[u8], received: Timestamp) -> Result<Observed, DecodeError> {
        Ok(self.observe_valid(&otlp::validate(signal, request)?, received))
    }

    /// Counts a request that is validated, which came at `received`. Validation is a good part of the work, and needs no
    /// fold: where requests come in parallel, only this has to be under a lock.
    pub fn observe_valid(&mut self, request: &Request<'_>, received: Timestamp) -> Observed {
        let clock = Clock::new(received, &self.shared.options);
        let (metric_limits, span_limits) = (self.metric_limits(), self.span_limits());
        let shared = &mut self.shared;
        let mut nameless = 0;
        let (records, corrected) = match request.signal() {
            Signal::Metric => {
                let mut pass = MetricPass::new(Pass::new(shared, &mut self.metrics, clock), metric_limits);
                request.visit(&mut pass);
                nameless = pass.nameless;
                pass.pass.finish()
            }
            Signal::Span => {
                let mut pass = SpanPass::new(Pass::new(shared, &mut self.spans, clock), span_limits);
                request.visit(&mut pass);
                pass.pass.finish()
            }
            Signal::Log => {
                let mut pass = LogPass::new(Pass::new(shared, &mut self.logs, clock));
                request.visit(&mut pass);
                pass.pass.finish()
            }
        };
        self.records += records;
        self.rejected += nameless;
        self.times_corrected += corrected;
        self.invalid_utf8 += request.counts().invalid_utf8;
        let message = (nameless > 0).then(|| "data points of metrics without a name were rejected".to_owned());
        Observed { records, rejected: nameless, message }
    }

    /// Takes everything that was counted since the last drain, as rows that are sorted by key. What is known stays.
    ///
    /// Computed columns are 0: [`tallybook_core::Table::normalise`] fills them.
    pub fn drain(&mut self) -> CatalogueDelta {
        self.shared.pending = Pending::default();
        drain::drain(self)
    }

    /// About how many rows the next drain will give.
    pub fn pending_rows(&self) -> usize {
        self.shared.pending.rows
    }

    /// How many records the next drain will hold.
    pub fn pending_records(&self) -> u64 {
        self.shared.pending.records
    }

    /// About how many bytes are held for the next drain. Its rows take several times as many.
    pub fn pending_bytes(&self) -> usize {
        self.shared.pending.bytes
    }

    /// What is known, and what was counted since the fold was made.
    pub fn stats(&self) -> FoldStats {
        let Self { shared, metrics, spans, logs, .. } = self;
        let names = metrics.names.memory_bytes() + spans.names.memory_bytes() + logs.names.memory_bytes();
        FoldStats {
            services: shared.services.len(),
            metrics: metrics.names.len(),
            spans: spans.names.len(),
            keys: shared.keys,
            templates: shared.templates,
            known_bytes: names + shared.texts.memory_bytes() + shared.key_bytes + shared.template_bytes,
            records: self.records,
            rejected: self.rejected,
            times_corrected: self.times_corrected,
            invalid_utf8: self.invalid_utf8,
            overflowed: shared.overflowed,
        }
    }

    fn metric_limits(&self) -> NameLimits {
        NameLimits {
            per_service: self.shared.options.max_metrics_per_service,
            total: self.shared.options.max_names_total.saturating_sub(self.spans.names.len()),
        }
    }

    fn span_limits(&self) -> NameLimits {
        NameLimits {
            per_service: self.shared.options.max_spans_per_service,
            total: self.shared.options.max_names_total.saturating_sub(self.metrics.names.len()),
        }
    }
}
