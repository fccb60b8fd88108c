//! The harness of the tests that cross crates: it runs the real `tallybook` as a process of its own, speaks to it as its
//! clients do, and hurts it as the world does.

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
