//! The DuckDB mirror: all families in one file, for analysis on the same machine.
//!
//! Each page is one transaction that replaces rows by key and moves the cursor. DuckDB keeps other processes out of a file
//! that one has open for writing, so the mirror lets go of it whenever it has caught up: `tallybook query`, the `duckdb` shell
//! and dashboards then read beside a running server.

#![cfg(feature = "duckdb")]

mod analytics;
mod cell;
mod error;
mod export;
mod file;
mod mirror;
mod page;
mod read;
mod schema;
mod sealed;

pub use analytics::{Analytics, Answer, AnswerLimits, Sources};
pub use export::Exported;
pub use mirror::DuckDbMirror;
