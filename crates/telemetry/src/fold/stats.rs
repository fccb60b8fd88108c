//! What a fold says of itself.

use serde::Serialize;

/// What became of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Records that were counted.
    pub records: u64,
    /// Records that were not.
    pub rejected: u64,
    /// Why, for the sender; `None` where all were counted.
    pub message: Option<String>,
}

/// What a [`crate::Fold`] knows and has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FoldStats {
    /// Services known.
    pub services: usize,
    /// Metric names known, one for each service that sends it.
    pub metrics: usize,
    /// Span names known, one for each service that sends it.
    pub spans: usize,
    /// Attribute keys and event names known, one for each name and scope that has it.
    pub keys: usize,
    /// Log templates known.
    pub templates: usize,
    /// Bytes held for all that is known, estimated.
    pub known_bytes: usize,
    /// Records that were counted.
    pub records: u64,
    /// Records that were not counted, because they have no name.
    pub rejected: u64,
    /// Records whose own time cannot be (absent, before 2000, or in the future): they are counted when received.
    pub times_corrected: u64,
    /// Strings that were not UTF-8.
    pub invalid_utf8: u64,
    /// What was counted past a budget.
    pub overflowed: Overflowed,
}

/// How often something was counted under [`tallybook_core::OVERFLOW`], by the budget that was used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Overflowed {
    /// Resources without a service of their own.
    pub services: u64,
    /// Metrics and spans without a name of their own.
    pub names: u64,
    /// Attributes without a key of their own.
    pub keys: u64,
    /// Events without a name of their own.
    pub events: u64,
    /// Log bodies without a template of their own.
    pub templates: u64,
}
