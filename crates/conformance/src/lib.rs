//! The suite that every backend passes: named cases for each promise of [`tallybook_core::Store`], and a model test that
//! drives a backend and the memory store with the same random batches and compares what they answer.
//!
//! A backend's `tests/conformance.rs` (with `harness = false`) is a `main` that calls [`run`] with a [`Place`].
//! What follows a primary passes [`follower_cases`]. Beside it stand [`Fixtures`], which make random records, and [`Chaos`], a store that fails on demand.

mod cases;
mod chaos;
mod chaos_follower;
mod fixtures;
mod follower;
mod following;
mod model;
mod queries;
mod series;
mod steps;
mod suite;
mod support;

pub use chaos::Chaos;
pub use chaos_follower::ChaosFollower;
pub use fixtures::Fixtures;
pub use following::{FollowerPlace, follower_cases, following_store_cases};
pub use libtest_mimic::Trial;
pub(crate) use suite::NewPlace;
pub use suite::{Place, case, run, run_trials};
