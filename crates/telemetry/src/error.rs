//! The one error of this crate: why a request cannot be read, and where.

use std::borrow::Cow;
use std::fmt;

use crate::otlp::MAX_VALUE_DEPTH;

/// What is wrong with a request that cannot be read. Sending the same bytes again never helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DecodeErrorKind {
    /// The bytes end too early, or a length in them points past the end.
    Truncated,
    /// The bytes are not protobuf, or not JSON.
    Malformed,
    /// A known field carries another type than the protocol gives it.
    WrongType,
    /// A known field has the right type but a value that cannot be: out of range, an unknown enum name, bad hex.
    BadValue,
    /// Values are nested deeper than [`MAX_VALUE_DEPTH`].
    TooDeep,
}

/// Why a request cannot be read. Its text names the field and never repeats a value of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError(Box<Details>);

/// Boxed, so that the way on which nothing is wrong carries one word.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Details {
    kind: DecodeErrorKind,
    offset: usize,
    path: String,
    detail: Cow<'static, str>,
}

impl DecodeError {
    #[cold]
    pub(crate) fn new(kind: DecodeErrorKind, offset: usize, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Details { kind, offset, path: String::new(), detail: detail.into() }))
    }

    pub(crate) fn too_deep(offset: usize) -> Self {
        let detail =
            format!("values are nested deeper than {MAX_VALUE_DEPTH} levels; flatten them before they are sent");
        Self::new(DecodeErrorKind::TooDeep, offset, detail)
    }

    pub(crate) fn at_path(mut self, path: String) -> Self {
        self.0.path = path;
        self
    }

    /// Says that the error is inside the field `name` of an enclosing message.
    pub(crate) fn inside(mut self, name: &str) -> Self {
        if !self.0.path.is_empty() {
            self.0.path.insert(0, '.');
        }
        self.0.path.insert_str(0, name);
        self
    }

    /// What is wrong.
    pub fn kind(&self) -> DecodeErrorKind {
        self.0.kind
    }

    /// The byte of the request at which the field begins that is wrong (protobuf), or at which reading stopped (JSON).
    pub fn offset(&self) -> usize {
        self.0.offset
    }

    /// The field that is wrong, from the outermost message inwards, or empty for the request itself.
    pub fn path(&self) -> &str {
        &self.0.path
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.0.path.is_empty() { "request" } else { &self.0.path };
        write!(f, "{path}: {} (at byte {})", self.0.detail, self.0.offset)
    }
}

impl std::error::Error for DecodeError {}
