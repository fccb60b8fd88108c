//! One error for every store: what kind, doing what, and whether the write may have happened.

use std::error::Error as StdError;
use std::fmt;

/// The result of every store call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The backend cannot be reached, is locked, is full or is shutting down: the same call may succeed later.
    Unavailable,
    /// The input is refused and will be refused again.
    Invalid,
    /// What is stored cannot be read as what it should be.
    Corrupt,
    /// This backend, or this version of it, does not offer what was asked.
    Unsupported,
    /// A defect: ours or the backend's.
    Internal,
}

/// Whether a failed write may have happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Applied {
    /// Nothing of the write is stored.
    No,
    /// The write may or may not be stored: send it again under the same [`crate::BatchId`].
    Unknown,
}

/// A failed store call. Never logged and returned: whoever handles it reports it.
pub struct Error {
    kind: ErrorKind,
    applied: Applied,
    operation: &'static str,
    context: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of `kind` while doing `operation` (a verb phrase such as "committing a batch"); `context` says what
    /// happened, to what, and what to do next. The write did not happen unless [`Error::applied_unknown`] is called.
    pub fn new(kind: ErrorKind, operation: &'static str, context: impl Into<String>) -> Self {
        Self { kind, applied: Applied::No, operation, context: context.into(), source: None }
    }

    /// Input that is refused and will be refused again.
    pub fn invalid(operation: &'static str, context: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, operation, context)
    }

    /// Stored bytes that cannot be what they should be.
    pub fn corrupt(operation: &'static str, context: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, operation, context)
    }

    /// Adds the error underneath.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says that the write may have happened all the same.
    pub fn applied_unknown(mut self) -> Self {
        self.applied = Applied::Unknown;
        self
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the write may have happened.
    pub fn applied(&self) -> Applied {
        self.applied
    }

    /// Whether what is stored has to be mended, or read by another version, before the same call can succeed.
    pub fn needs_mending(&self) -> bool {
        matches!(self.kind, ErrorKind::Corrupt | ErrorKind::Unsupported)
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.kind == ErrorKind::Unavailable || self.applied == Applied::Unknown
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, self.context)?;
        // Only the innermost message: drivers repeat their own chain in Display.
        if let Some(source) = &self.source {
            write!(f, " ({source})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{:?} {self}", self.kind, self.applied)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        // The source itself is in Display already.
        self.source.as_deref().and_then(StdError::source)
    }
}
