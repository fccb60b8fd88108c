//! What crosses crates, tested on the real binary. One binary for all, so that tests of every kind run beside each other.

mod at_once;
mod bad_days;
mod bombs;
mod clocks;
mod commands;
mod crashes;
mod demo;
mod disks;
mod doctor;
mod documented_sql;
mod dual;
#[cfg(feature = "duckdb")]
mod duckdb;
mod exchange;
mod families;
mod floods;
mod fuzzer;
mod malformed;
mod mirrors;
mod pings;
mod postgres;
mod postgres_series;
mod records;
mod refusals;
mod restoring;
mod retention;
mod runs;
mod same_answers;
mod sdks;
mod ticks;
mod traps;
