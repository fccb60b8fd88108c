//! Where pings are recorded: the store of the settings, or the server that holds it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tallybook_backends::Backend;
use tallybook_core::{ErrorKind, Ping, Store};
use tallybook_telemetry::{Fold, FoldOptions};
use tallybook_writer::{Refused, Writer};

use super::Options;
use super::line::to_lines;
use crate::serve::writer_options;
use crate::store::{self, holder_address};

/// The longest a server may take for a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Where pings are recorded.
pub(crate) enum Place {
    Store { store: Arc<dyn Store>, writer: Writer },
    Server { client: Client, address: String, token: Option<String> },
}

/// Why pings were not recorded.
#[derive(Debug)]
pub(crate) enum NotRecorded {
    /// For now: the same may work later.
    Yet(String),
    /// For ever.
    Refused(String),
}

impl Place {
    /// The server that is named, the store of the settings, or the server that holds that.
    ///
    /// # Errors
    /// One sentence when there is none of them.
    pub(crate) async fn open(options: &Options) -> Result<Self> {
        let settings = &options.settings;
        let token = options.token.clone().or_else(|| settings.api_token.clone());
        if let Some(address) = &options.server {
            return Self::server(address, token);
        }
        if settings.use_db == Backend::Memory {
            bail!("USE_DB=memory would forget the pings at once; name a server with --server, or say --no-record");
        }
        match store::open_soon(settings, "tallybook ping").await {
            Ok(store) => {
                let fold = Fold::new(FoldOptions::default());
                let writer = Writer::start(store.clone(), fold, writer_options(settings));
                Ok(Self::Store { store, writer })
            }
            Err(error) if error.kind() == ErrorKind::Unavailable && settings.use_db == Backend::Sqlite => {
                match holder_address(&settings.data_dir) {
                    Some(address) => Self::server(&address, token),
                    None => Err(anyhow!(error).context("nothing is measured, as --no-record was not said")),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    fn server(address: &str, token: Option<String>) -> Result<Self> {
        let address = store::server_address(address)?;
        Ok(Self::Server { client: Client::builder().timeout(REQUEST_TIMEOUT).build()?, address, token })
    }

    /// Records pings; those that are recorded again change nothing. Gives the number of those that were refused.
    pub(crate) async fn record(&self, pings: &[Ping]) -> Result<u64, NotRecorded> {
        match self {
            Self::Store { writer, .. } => match writer.pings(pings.to_vec()).await {
                Ok(accepted) => Ok(accepted.rejected + accepted.shed),
                Err(refused @ (Refused::Decode(_) | Refused::Stopping)) => {
                    Err(NotRecorded::Refused(refused.to_string()))
                }
                Err(refused) => Err(NotRecorded::Yet(refused.to_string())),
            },
            Self::Server { client, address, token } => post(client, address, token.as_deref(), pings).await,
        }
    }

    /// Brings everything to the store and lets go of it.
    pub(crate) async fn close(self, limit: Duration) -> Result<()> {
        let Self::Store { store, writer } = self else { return Ok(()) };
        let stopped = writer.stop(limit).await;
        store.close().await.context("closing the store")?;
        if !stopped.drained {
            let why = stopped.error.as_deref().unwrap_or("it took too long");
            bail!("{} pings that were taken could not be written: {why}", stopped.records_left);
        }
        Ok(())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store { store, .. } => write!(f, "in {}", store.info().name),
            Self::Server { address, .. } => write!(f, "by {address}"),
        }
    }
}

async fn post(client: &Client, address: &str, token: Option<&str>, pings: &[Ping]) -> Result<u64, NotRecorded> {
    let url = format!("{address}/api/v1/pings");
    let mut request = client.post(&url).header("content-type", "application/x-ndjson").body(to_lines(pings));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let response = request.send().await.map_err(|_| {
        NotRecorded::Yet(format!("no server answers at {address}; start one with `tallybook serve`, or name another"))
    })?;
    let status = response.status();
    let answer: Value = response.json().await.unwrap_or_default();
    if status.is_success() {
        let count = |name: &str| answer[name].as_u64().unwrap_or(0);
        return Ok(count("rejected") + count("shed"));
    }
    let why = format!("{url} answered {status}: {}", answer["error"]["message"].as_str().unwrap_or_default());
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Err(NotRecorded::Yet(why));
    }
    Err(NotRecorded::Refused(why))
}
