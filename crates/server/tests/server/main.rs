//! The server from outside: a bound server on free ports over the memory store.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod alerts;
mod api_access;
mod api_catalogue;
mod api_lists;
mod api_status;
mod catalogue;
mod executions;
mod export;
mod grpc;
mod http;
mod openapi;
mod overload;
mod ping_reads;
mod ping_targets;
mod pings;
mod running;
mod sql;
mod stopping;
mod stores;
mod ticks;
