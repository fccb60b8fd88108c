//! Ticks: a file for each UTC day by event time, `ticks/YYYY/MM/ticks_YYYY-MM-DD.db` beside the main database, and
//! `.parquet` once the day is sealed. Ticks that come after that are in a database again, laid over the Parquet file.
//!
//! No transaction joins two files. Each keeps the last batch of every source, so that a batch that is sent again is added
//! to those that miss it; the main database, which knows of a batch only when all files have it, is committed last.

mod copy;
mod database;
mod day;
mod days;
mod folder;
mod follow;
mod form;
mod names;
mod queries;
mod reader;
mod recover;
mod seal;
mod sealed;
mod touched;
mod unseal;
mod view;
mod writer;
mod writers;

pub(crate) use day::Day;
pub(crate) use days::Days;
pub(crate) use folder::Folder;
pub(crate) use follow::{TickPlace, TickStream, ticks_behind};
pub(crate) use recover::recover;
pub(crate) use seal::{drop_segment, seal};
pub(crate) use unseal::unseal;
pub(crate) use writers::{Writers, unlist};
