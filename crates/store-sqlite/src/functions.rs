//! SQL functions for what SQL cannot say: sketches and histograms, and text that holds another one whatever the case.

use std::sync::{Mutex, PoisonError};

use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result, ffi};
use tallybook_core::Value;

/// `sketch_grows(stored, other)`: whether the union is another sketch than the stored one.
pub(crate) const GROWS: &str = "sketch_grows";
/// `summary_union(stored, other)`: the union of sketches, or of histograms.
pub(crate) const UNION: &str = "summary_union";
/// `sketch_union_estimate(stored, other)`: the estimate of the union.
pub(crate) const UNION_ESTIMATE: &str = "sketch_union_estimate";
/// `contains_text(text, part)`: whether the text holds the part, ASCII letters in any case.
pub(crate) const CONTAINS: &str = "contains_text";

pub(crate) fn register(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    // One memory for the three: a statement asks for the union of the same two sketches several times in a row.
    let last = std::sync::Arc::new(Mutex::new(LastUnion::default()));
    let of = last.clone();
    connection.create_scalar_function(GROWS, 2, flags, move |context| {
        // Without a look at the registers where nothing came, or the same again.
        let (stored, other) = (context.get_raw(0), context.get_raw(1));
        Ok(other != ValueRef::Blob(&[])
            && other != stored
            && with_union(&of, context, |union| union.bytes != union.stored)?)
    })?;
    let of = last.clone();
    connection.create_scalar_function(UNION, 2, flags, move |context| {
        with_union(&of, context, |union| union.bytes.clone())
    })?;
    connection.create_scalar_function(UNION_ESTIMATE, 2, flags, move |context| {
        with_union(&last, context, LastUnion::estimate)
    })?;
    connection.create_scalar_function(CONTAINS, 2, flags, |context| {
        let (ValueRef::Text(text), ValueRef::Text(part)) = (context.get_raw(0), context.get_raw(1)) else {
            return Ok(false);
        };
        Ok(part.is_empty() || text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part)))
    })
}

/// The bytes of the last two summaries that were united, and what came of it.
#[derive(Default)]
struct LastUnion {
    stored: Vec<u8>,
    other: Vec<u8>,
    union: Option<Value>,
    bytes: Vec<u8>,
}

impl LastUnion {
    fn set(&mut self, stored: &[u8], other: &[u8]) -> tallybook_core::Result<()> {
        if self.stored == stored && self.other == other {
            return Ok(());
        }
        let union = Value::unite_summaries(stored, other)?;
        self.bytes = union.encode_summary().unwrap_or_default();
        self.union = Some(union);
        self.stored.clear();
        self.stored.extend_from_slice(stored);
        self.other.clear();
        self.other.extend_from_slice(other);
        Ok(())
    }

    /// 0 for histograms.
    fn estimate(&self) -> i64 {
        match &self.union {
            Some(Value::Sketch(sketch)) => i64::try_from(sketch.estimate()).unwrap_or(i64::MAX),
            _ => 0,
        }
    }
}

fn with_union<T>(last: &Mutex<LastUnion>, context: &Context<'_>, answer: impl Fn(&LastUnion) -> T) -> Result<T> {
    // A panic in between leaves a memory that is merely old.
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    let (ValueRef::Blob(stored), ValueRef::Blob(other)) = (context.get_raw(0), context.get_raw(1)) else {
        return Err(corrupt());
    };
    last.set(stored, other).map_err(|_| corrupt())?;
    Ok(answer(&last))
}

fn corrupt() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), None)
}
