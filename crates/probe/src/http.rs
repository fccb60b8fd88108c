//! HTTP probes: GET over a connection of its own, so that each measures the same.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Client;
use reqwest::redirect::Policy;
use url::Url;

use crate::ProbeError;
use crate::resolver::Resolver;

/// A client that follows no redirect, knows no proxy and keeps no connection.
///
/// # Errors
/// When the machine's certificates cannot be read.
pub(crate) fn client(resolver: Resolver) -> Result<Client, ProbeError> {
    Client::builder()
        .user_agent(concat!("tallybook/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(0)
        .dns_resolver(Arc::new(resolver))
        .build()
        .map_err(|error| ProbeError::Unavailable { what: "HTTP", source: Arc::new(io::Error::other(root(&error))) })
}

/// The time from the first step to the head of the answer: connecting and TLS included. An answer of 400 and above is none.
pub(crate) async fn probe(client: &Client, url: &Url) -> Result<Duration, String> {
    let start = Instant::now();
    let response = client.get(url.clone()).send().await.map_err(|error| root(&error))?;
    let latency = start.elapsed();
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        return Err(format!("it answered {status}"));
    }
    Ok(latency)
}

/// What lies under an error: the outer ones only say that a request failed.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
