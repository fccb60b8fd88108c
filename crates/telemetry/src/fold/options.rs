//! The budgets of a fold.

use std::time::Duration;

/// What a [`crate::Fold`] may hold and keep. Past a budget everything is counted under
/// [`tallybook_core::OVERFLOW`] as service, name, key, event or template.
#[derive(Clone, Debug, PartialEq)]
pub struct FoldOptions {
    /// Services, the one of the overflow not counted.
    pub max_services: usize,
    /// Metric names of one service.
    pub max_metrics_per_service: usize,
    /// Span names of one service.
    pub max_spans_per_service: usize,
    /// Metric and span names of all services together.
    pub max_names_total: usize,
    /// Attribute keys of one metric, span name or log severity in one scope; 5,000 at the most.
    pub max_keys_per_name: usize,
    /// Event names of one span name or log severity; 5,000 at the most.
    pub max_events_per_name: usize,
    /// Attribute keys and event names of all services and names together.
    pub max_keys_total: usize,
    /// Log templates of one severity of one service.
    pub max_templates_per_miner: usize,
    /// Log templates of all services together.
    pub max_templates_total: usize,
    /// Whether one body of each template is kept as it was sent.
    pub keep_examples: bool,
    /// How much of that body is kept, in bytes.
    pub example_max_bytes: usize,
    /// For how long hour buckets are kept: what is older when it arrives goes into no hour.
    pub hour_retention: Duration,
    /// For how long day buckets are kept: what is older when it arrives goes into no bucket.
    pub day_retention: Duration,
}

const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Default for FoldOptions {
    fn default() -> Self {
        Self {
            max_services: 1_000,
            max_metrics_per_service: 100_000,
            max_spans_per_service: 20_000,
            max_names_total: 250_000,
            max_keys_per_name: 256,
            max_events_per_name: 100,
            max_keys_total: 1_000_000,
            max_templates_per_miner: 1_000,
            max_templates_total: 100_000,
            keep_examples: true,
            example_max_bytes: 1_024,
            hour_retention: 7 * A_DAY,
            day_retention: 400 * A_DAY,
        }
    }
}
