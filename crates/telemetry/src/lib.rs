//! The telemetry family before it is stored: OTLP requests in, observations out. Pure: no I/O, no runtime.
//!
//! [`otlp`] walks protobuf requests without building messages; [`json`] turns OTLP/JSON into the protobuf that it walks.

mod error;
mod fold;
pub mod json;
pub mod otlp;
pub mod template;
mod wire;

pub use error::{DecodeError, DecodeErrorKind};
pub use fold::{Fold, FoldOptions, FoldStats, Known, Observed, Overflowed};
