//! The engine as its users see it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod backup;
mod calls;
mod limits;
mod power;
mod shutdown;
mod support;
mod together;
