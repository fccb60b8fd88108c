//! OTLP requests: checked once as a whole, then visited without message objects, allocation or errors.
//!
//! [`validate`] refuses a request or takes it whole. The [`Request`] it returns shows its records to a [`Visitor`] as
//! views that borrow from the bytes and read nested parts while iterating.

mod check;
mod hash;
mod list;
mod metric;
mod record;
pub(crate) mod schema;
mod value;
mod visit;

pub use hash::{SeriesHash, hash_text, hash_value};
pub use list::{Doubles, Items, List, View};
pub use metric::{DataPoint, Metric, MetricKind, Quantile};
pub use record::{Event, Link, LogRecord, Resource, Scope, Span};
pub use value::{AnyValue, Attributes, KeyValue, Text};
pub use visit::Visitor;

use schema::Message;
use tallybook_core::Signal;

use crate::DecodeError;

/// How many levels of arrays and key-value lists an attribute value or a log body may have, itself included.
pub const MAX_VALUE_DEPTH: usize = 32;

/// What was counted while a request was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Log records, spans or data points.
    pub records: u64,
    /// Strings that are not UTF-8. They are kept, and [`Text::to_str`] shows U+FFFD in them.
    pub invalid_utf8: u64,
}

/// A request that was checked down to its last attribute value.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    signal: Signal,
    bytes: &'a [u8],
    counts: Counts,
}

/// Checks a protobuf export request of `signal`. Unknown fields are ignored, as the protocol demands.
///
/// # Errors
///
/// When any known part of it is cut short, damaged, of the wrong type or nested too deeply.
pub fn validate(signal: Signal, bytes: &[u8]) -> Result<Request<'_>, DecodeError> {
    let counts = check::check(Message::request(signal), bytes)?;
    Ok(Request { signal, bytes, counts })
}

impl<'a> Request<'a> {
    /// What it carries.
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// What is in it.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Shows all of it to `visitor`, in the order that [`Visitor`] promises.
    pub fn visit(&self, visitor: &mut impl Visitor<'a>) {
        visit::visit(self.signal, self.bytes, visitor);
    }
}
