//! What the SQLite store promises beside the suite of all backends.

mod full_disk;
mod opening;
mod retention;
mod schema;
mod support;
mod views;
mod wal;
