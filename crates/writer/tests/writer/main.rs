//! The writer against a memory store that misbehaves on demand. Time is virtual where a test says nothing else.

#![expect(clippy::unwrap_used, reason = "in a test, it is the assertion")]

mod accounting;
mod faults;
mod pacing;
mod queue;
mod refresh;
mod restore;
mod retention;
mod stop;
mod support;
