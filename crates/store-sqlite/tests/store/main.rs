//! What the SQLite store promises beside the suite of all backends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod feed;
mod full_disk;
mod opening;
mod pings;
mod retention;
mod schema;
mod seal;
mod support;
mod ticks;
mod unusable;
mod views;
mod wal;
