//! OTLP/JSON: read as a stream and written as the protobuf that [`crate::otlp`] walks, so that one walker serves both.

mod explain;
mod number;
mod scalars;
mod seeds;
mod transcoder;
mod writer;

pub use transcoder::transcode;
