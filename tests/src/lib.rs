//! The harness of the tests that cross crates: it runs the real `tallybook` as a process of its own, speaks to it as its
//! clients do, and hurts it as the world does.

use std::time::Duration;

pub mod answer;
pub mod clock;
pub mod command;
pub mod jobs;
pub mod load;
pub mod otlp;
pub mod postgres;
pub mod server;
pub mod setup;
pub mod tools;

/// How long anything may take that is awaited: on a slow machine, too, and it costs nothing when all is well.
pub const PATIENCE: Duration = Duration::from_secs(180);
