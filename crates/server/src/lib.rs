//! The network side of Tallybook: OTLP receivers over gRPC and HTTP, the JSON API, and their limits.
//!
//! [`Server::bind`] opens the ports, [`Server::run`] answers until it is told to stop. The receivers hand the bytes of each
//! request to a [`tallybook_writer::Writer`], and so does the API with the pings it is sent; it reads from a
//! [`tallybook_core::Store`].

mod alerts;
mod api;
mod auth;
mod commands;
mod connections;
mod counters;
mod databases;
mod doctor;
mod executions;
mod lingering;
mod options;
mod otlp;
mod ping_targets;
mod probing;
mod server;
mod start_error;
mod stored;

pub use api::MAX_DEAD_LETTERS;
pub use commands::{Commands, NamedCommand, NotStarted};
pub use doctor::Doctor;
pub use options::{Limits, Options, Token};
pub use server::{Addresses, Server, Stopped};
pub use start_error::StartError;

/// The OpenAPI document of the JSON API, as it is served at `/api/v1/openapi.json`.
pub fn openapi_json() -> String {
    api::openapi_json()
}
