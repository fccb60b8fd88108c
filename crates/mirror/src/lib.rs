//! Follows a primary: a [`Mirror`] beside a running server, [`move_all`] once for a move, and [`compare`] to prove that two
//! sides hold the same.
//!
//! What follows is a [`tallybook_core::Follower`], another store or a database for analytics. Pages of changes go to it one
//! after the other; while one is kept the next is read, so at most two are in memory. The primary never waits.

mod backoff;
mod compare;
mod follow;
mod mirror;
mod move_all;
mod pages;
mod rows;
mod status;
mod task;

pub use compare::{Comparison, DayComparison, Difference, Finding, Sum, TableComparison, compare};
pub use follow::Progress;
pub use mirror::{Mirror, MirrorOptions, Opener};
pub use move_all::move_all;
pub use status::{LastError, State, Status};
