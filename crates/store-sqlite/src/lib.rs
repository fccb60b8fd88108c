//! The SQLite store: one file in the data folder, one thread that writes, and readers that never wait for it.
//!
//! Statements are made from the descriptors of `tallybook-core` in one place (`sql`), so a new table costs a descriptor
//! and a migration.

mod changes;
mod connection;
mod engine;
mod error;
mod filter;
mod follow;
mod functions;
mod migrate;
mod moves;
mod pings;
mod prune;
mod readers;
mod rows;
mod segments;
mod select;
mod sources;
mod sql;
mod store;
mod write;
mod writer;

pub use store::{SqliteOptions, SqliteStore};
pub use tallybook_sqlite::wal::WalStats;
