//! The writer against a memory store that misbehaves on demand. Time is virtual where a test says nothing else.

#![expect(clippy::unwrap_used, reason = "in a test, it is the assertion")]

mod accounting;
mod faults;
mod offers;
mod pacing;
mod pings;
mod queue;
mod refresh;
mod restore;
mod retention;
mod stop;
mod support;
mod ticks;
