//! What requests become in the catalogue, seen through a store.

mod budgets;
mod drains;
mod logs;
mod metrics;
mod refresh;
mod restart;
mod sharing;
mod spans;
mod support;
mod texts;
mod times;
