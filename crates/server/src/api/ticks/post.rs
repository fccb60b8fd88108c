//! `POST /ticks` and `POST /ticks/stream`: quotes in, as one request or for as long as the feed lasts.

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use tallybook_core::{Family, SourceId, Tick, Timestamp};
use tallybook_formats::{Format, Read, Reader};
use tallybook_writer::Accepted;
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use super::super::Api;
use super::super::error::{ApiError, BodyFailures, Failures};
use super::super::params::Params;
use super::super::records::{LineError, format_of};

/// A stream that sends nothing for this long has ended.
const STREAM_IDLE: Duration = Duration::from_secs(300);
/// The header under whose value a request is stored once, however often it is sent.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const MAX_KEY_BYTES: usize = 255;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PostOptions {
    /// Whether each tick keeps the `received` that it brings, as when it is imported from elsewhere; otherwise it arrives now.
    #[serde(default)]
    #[param(default = false)]
    keep_received: bool,
}

/// What became of the records of a request; all but `filtered` add up to what was sent.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct TicksTaken {
    /// New in the store (or in the queue, where ticks are acknowledged there).
    accepted: u64,
    /// Were there already, or are equal to the tick before them where such ticks are left out.
    duplicate: u64,
    /// Cannot be stored, and are dead letters.
    rejected: u64,
    /// Dropped because the queue was full, where the server is set to do so.
    shed: u64,
    /// Of the duplicates, those that were left out because nothing in them had changed.
    filtered: u64,
    /// The first 100 that were rejected.
    errors: Vec<LineError>,
}

impl TicksTaken {
    fn add(&mut self, accepted: Accepted) {
        self.accepted += accepted.counts.stored + accepted.counts.merged + accepted.queued;
        self.duplicate += accepted.counts.duplicate + accepted.filtered;
        self.rejected += accepted.rejected;
        self.shed += accepted.shed;
        self.filtered += accepted.filtered;
    }
}

/// Takes ticks: a JSON array, NDJSON or CSV with a header; gzip, zstd or deflate. `{symbol, timestamp, bid, ask, volume?, lp?, seq?}`;
/// prices as texts or numbers, which are kept digit by digit. With an `Idempotency-Key` header the request is stored once,
/// however often it is sent.
#[utoipa::path(post, operation_id = "post_ticks", path = "/api/v1/ticks", tag = "ticks",
    params(PostOptions, ("Idempotency-Key" = Option<String>, Header, description = "Any text of at most 255 bytes that names this request")),
    request_body(content((String = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"))),
    responses((status = 200, body = TicksTaken), Failures, BodyFailures))]
pub(crate) async fn post(
    State(api): State<Api>,
    Params(options): Params<PostOptions>,
    request: Request,
) -> Result<Json<TicksTaken>, ApiError> {
    let received = Timestamp::now();
    let format = format_of(request.headers(), &[Format::Json, Format::Ndjson, Format::Csv])?;
    let key = idempotency_key(request.headers())?;
    let Read { mut records, bad } = api.read::<Tick>(request, format, received).await?;
    // Only an importer may say when a tick arrived elsewhere.
    if !options.keep_received {
        for tick in &mut records {
            tick.received = received;
        }
    }
    let mut taken = TicksTaken::default();
    if !records.is_empty() {
        taken.add(match &key {
            Some(key) => api.writer.ticks_once(SourceId::named(&format!("ticks {key}")), 1, records).await?,
            None => api.writer.ticks(records).await?,
        });
    }
    taken.rejected += bad.len() as u64;
    api.put_aside(Family::Tick, bad, key.as_deref(), &mut taken.errors).await?;
    Ok(Json(taken))
}

/// Takes ticks as NDJSON for as long as the client sends them; what has arrived is stored while more is awaited. The answer
/// comes when the body ends, or with the first failure; a client that is told of one sends again what it is not sure of, with
/// `seq`, so that nothing is stored twice.
#[utoipa::path(post, operation_id = "stream_ticks", path = "/api/v1/ticks/stream", tag = "ticks",
    request_body(content = String, content_type = "application/x-ndjson"),
    responses((status = 200, body = TicksTaken), Failures, BodyFailures))]
pub(crate) async fn stream(State(api): State<Api>, request: Request) -> Result<Json<TicksTaken>, ApiError> {
    let format = format_of(request.headers(), &[Format::Ndjson, Format::Csv])?;
    let mut body = request.into_body();
    let mut reader = Reader::<Tick>::new(format, Timestamp::now());
    let mut taken = TicksTaken::default();
    loop {
        let Ok(frame) = timeout(STREAM_IDLE, body.frame()).await else { break };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| ApiError::invalid_body(format!("the stream broke off: {error}")))?;
        // Trailers say nothing.
        let Ok(data) = frame.into_data() else { continue };
        reader.received(Timestamp::now());
        store(&api, reader.push(&data), &mut taken).await?;
    }
    let rest = reader.finish().map_err(|error| ApiError::invalid_body(error.to_string()))?;
    store(&api, rest, &mut taken).await?;
    Ok(Json(taken))
}

async fn store(api: &Api, read: Read<Tick>, taken: &mut TicksTaken) -> Result<(), ApiError> {
    let Read { mut records, bad } = read;
    let received = Timestamp::now();
    for tick in &mut records {
        tick.received = received;
    }
    if !records.is_empty() {
        taken.add(api.writer.ticks(records).await?);
    }
    taken.rejected += bad.len() as u64;
    api.put_aside(Family::Tick, bad, None, &mut taken.errors).await
}

/// What names the request, where it has a name.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    match key.to_str() {
        Ok(key) if (1..=MAX_KEY_BYTES).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(ApiError::invalid_query("Idempotency-Key: it must be 1 to 255 printable ASCII characters")),
    }
}
