//! Ticks: day partitions, totals by day, and a log of the key ranges each commit touched.

mod changes;
mod copy;
mod insert;
mod names;
mod read;
mod shape;

pub(crate) use changes::{TouchedCursor, changes};
pub(crate) use insert::insert;
pub(crate) use names::Names;
pub(crate) use read::{drop_segment, no_seal, segments, symbols, ticks};
