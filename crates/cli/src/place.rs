//! Where records are brought: the store of the settings, or the server that holds it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::{Value, json};
use tallybook_backends::Backend;
use tallybook_core::{DeadLetter, ErrorKind, Ping, Store, Tick};
use tallybook_exchange::Exchanged;
use tallybook_formats::{BadRecord, Encoder, Format};
use tallybook_server::MAX_DEAD_LETTERS;
use tallybook_telemetry::{Fold, FoldOptions};
use tallybook_writer::{Accepted, Refused, Writer, WriterOptions};

use crate::remote::{NotTaken, Remote};
use crate::settings::Settings;
use crate::store;

/// The store of the settings, or a server.
pub(crate) enum Reached {
    Store(Arc<dyn Store>),
    Server(Remote),
}

impl Reached {
    /// The server that is named, the store of the settings, or the server that holds that.
    ///
    /// # Errors
    /// One sentence when there is none of them.
    pub(crate) async fn find(
        settings: &Settings,
        server: Option<&str>,
        token: Option<&String>,
        holder: &str,
    ) -> Result<Self> {
        let token = token.or(settings.network.api_token.as_ref()).cloned();
        if let Some(address) = server {
            return Ok(Self::Server(Remote::new(address, token)?));
        }
        if settings.store.use_db == Backend::Memory {
            bail!("USE_DB=memory is a store that this process alone would see; name a server with --server");
        }
        match store::open_soon(settings, holder).await {
            Ok(store) => Ok(Self::Store(store)),
            Err(error) if error.kind() == ErrorKind::Unavailable && settings.store.use_db == Backend::Sqlite => {
                match store::holder_address(&settings.store.data_dir) {
                    Some(address) => Ok(Self::Server(Remote::new(&address, token)?)),
                    None => Err(anyhow!(error)),
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Where records are brought.
pub(crate) enum Place {
    Store { store: Arc<dyn Store>, writer: Writer },
    Server(Remote),
}

/// What became of records that were brought; together, all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) stored: u64,
    pub(crate) duplicate: u64,
    pub(crate) replaced: u64,
    /// They cannot be stored, and are dead letters.
    pub(crate) rejected: u64,
    /// They were dropped, as the server is set to do when it is full.
    pub(crate) shed: u64,
}

/// A family that can be brought.
pub(crate) trait Brought: Exchanged {
    /// Where the API takes them, below `/api/v1`.
    const PATH: &'static str;

    /// Brings them to a writer.
    fn write(writer: &Writer, records: Vec<Self>) -> impl Future<Output = Result<Accepted, Refused>> + Send;
}

impl Brought for Ping {
    const PATH: &'static str = "pings";

    async fn write(writer: &Writer, records: Vec<Self>) -> Result<Accepted, Refused> {
        writer.pings(records).await
    }
}

impl Brought for Tick {
    const PATH: &'static str = "ticks?keep_received=true";

    async fn write(writer: &Writer, records: Vec<Self>) -> Result<Accepted, Refused> {
        writer.ticks(records).await
    }
}

impl Place {
    /// Brings records to what was reached; a store gets a writer with `options`.
    pub(crate) fn new(reached: Reached, options: &WriterOptions) -> Self {
        match reached {
            Reached::Store(store) => {
                let writer = Writer::start(store.clone(), Fold::new(FoldOptions::default()), *options);
                Self::Store { store, writer }
            }
            Reached::Server(remote) => Self::Server(remote),
        }
    }

    /// Brings records; those that are brought again change nothing.
    pub(crate) async fn take<R: Brought>(&self, records: &[R]) -> Result<Taken, NotTaken> {
        match self {
            Self::Store { writer, .. } => {
                R::write(writer, records.to_vec()).await.map(Taken::from).map_err(|refused| not_taken(&refused))
            }
            Self::Server(remote) => {
                let mut encoder = Encoder::new(Format::Ndjson);
                let mut body = encoder.push(records);
                body.extend(encoder.finish());
                remote.post(R::PATH, Format::Ndjson.content_type(), body).await.map(|answer| Taken::from(&answer))
            }
        }
    }

    /// Keeps input that is no record as dead letters; `places` says where each stood.
    pub(crate) async fn reject<R: Exchanged>(&self, bad: &[(String, BadRecord)]) -> Result<(), NotTaken> {
        let family = R::FAMILY;
        match self {
            Self::Store { writer, .. } => {
                let letter = |(place, bad): &(String, BadRecord)| {
                    DeadLetter::unread_at(family.as_str(), place, &bad.error, &bad.text)
                };
                writer.reject(family, bad.iter().map(letter).collect()).await.map_err(|refused| not_taken(&refused))
            }
            Self::Server(remote) => {
                let unread = |(place, bad): &(String, BadRecord)| {
                    let BadRecord { error, text, line: _ } = bad;
                    json!({ "family": family, "place": last(place), "error": first(error), "text": first(text) })
                };
                for bad in bad.chunks(MAX_DEAD_LETTERS) {
                    let body = Value::from(bad.iter().map(unread).collect::<Vec<Value>>()).to_string().into_bytes();
                    remote.post("dead-letters", Format::Json.content_type(), body).await?;
                }
                Ok(())
            }
        }
    }

    /// Brings everything to the store and lets go of it.
    pub(crate) async fn close(self, limit: Duration) -> Result<()> {
        let Self::Store { store, writer } = self else { return Ok(()) };
        let stopped = writer.stop(limit).await;
        store.close().await.context("closing the store")?;
        if !stopped.drained {
            let why = stopped.error.as_deref().unwrap_or("it took too long");
            bail!("{} records that were taken could not be written: {why}", stopped.records_left);
        }
        Ok(())
    }
}

/// As much of a text as a dead letter may have.
fn first(text: &str) -> &str {
    let mut end = text.len().min(BadRecord::MAX_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The end of a place says more than its beginning.
fn last(text: &str) -> &str {
    let mut start = text.len().saturating_sub(BadRecord::MAX_TEXT_BYTES);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

fn not_taken(refused: &Refused) -> NotTaken {
    match refused {
        Refused::Decode(_) | Refused::Stopping => NotTaken::Refused(refused.to_string()),
        _ => NotTaken::Yet(refused.to_string()),
    }
}

impl From<Accepted> for Taken {
    fn from(accepted: Accepted) -> Self {
        Self {
            stored: accepted.counts.stored + accepted.queued,
            duplicate: accepted.counts.duplicate + accepted.filtered,
            replaced: accepted.counts.merged,
            rejected: accepted.rejected,
            shed: accepted.shed,
        }
    }
}

impl From<&Value> for Taken {
    fn from(answer: &Value) -> Self {
        let count = |name: &str| answer[name].as_u64().unwrap_or(0);
        Self {
            stored: count("accepted"),
            duplicate: count("duplicate"),
            replaced: count("replaced"),
            rejected: count("rejected"),
            shed: count("shed"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store { store, .. } => write!(f, "in {}", store.info().name),
            Self::Server(remote) => write!(f, "by {remote}"),
        }
    }
}
