//! Turns a failure into an error that names the field and what belongs there, and that repeats no value.

use std::fmt;

use serde_json::error::Category;

use crate::otlp::schema::{Field, Kind};
use crate::{DecodeError, DecodeErrorKind};

/// One level of the way from the document to where we are.
pub(super) struct Step {
    pub(super) field: &'static Field,
    pub(super) index: Option<usize>,
}

/// What only we can find wrong with a document.
#[derive(Clone, Copy)]
pub(super) enum Refusal {
    BadValue,
    TooDeep,
}

pub(super) fn explain(error: &serde_json::Error, json: &[u8], path: &[Step], refusal: Option<Refusal>) -> DecodeError {
    let offset = offset(json, error.line(), error.column());
    let must_be = || format!("must be {}", expected(path.last()));
    let error = match (refusal, error.classify()) {
        (Some(Refusal::TooDeep), _) => DecodeError::too_deep(offset),
        (Some(Refusal::BadValue), _) => DecodeError::new(DecodeErrorKind::BadValue, offset, must_be()),
        (None, Category::Data) => DecodeError::new(DecodeErrorKind::WrongType, offset, must_be()),
        (None, Category::Eof) => DecodeError::new(DecodeErrorKind::Truncated, offset, "the JSON ends too early"),
        (None, Category::Syntax | Category::Io) => {
            let text = error.to_string();
            let reason = text.split(" at line ").next().unwrap_or_default();
            DecodeError::new(DecodeErrorKind::Malformed, offset, format!("this is not JSON: {reason}"))
        }
    };
    error.at_path(path.iter().map(ToString::to_string).collect::<Vec<_>>().join("."))
}

/// What should stand where we are.
fn expected(at: Option<&Step>) -> &'static str {
    match at {
        None => "an object",
        Some(Step { field, index: None }) if field.repeated => "a list",
        Some(Step { field, .. }) => match field.kind {
            Kind::Message(_) => "an object",
            Kind::Text => "a string",
            Kind::Bytes => "a string in base64",
            Kind::Id => "a string of hexadecimal digits",
            Kind::Bool => "true or false",
            Kind::Enum(_) => "the number or the full name of a value of its enum",
            Kind::Double => "a number, \"NaN\", \"Infinity\" or \"-Infinity\"",
            Kind::Int32 | Kind::Sint32 => "an integer of 32 bits",
            Kind::Int64 | Kind::Sfixed64 => "an integer of 64 bits, as a number or as a string",
            Kind::Uint32 | Kind::Fixed32 => "an unsigned integer of 32 bits",
            Kind::Uint64 | Kind::Fixed64 => "an unsigned integer of 64 bits, as a number or as a string",
        },
    }
}

/// The offset of a line and column, both counted from 1.
fn offset(json: &[u8], line: usize, column: usize) -> usize {
    let line_start = match line {
        0 | 1 => 0,
        _ => memchr::memchr_iter(b'\n', json).nth(line - 2).map_or(0, |newline| newline + 1),
    };
    (line_start + column).min(json.len())
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.field.json_name())?;
        match self.index {
            Some(index) => write!(f, "[{index}]"),
            None => Ok(()),
        }
    }
}
