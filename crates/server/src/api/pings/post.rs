//! `POST /pings`.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header;
use serde::Serialize;
use tallybook_core::{DeadLetter, Family, Ping, Record, Timestamp};
use tallybook_formats::{BadRecord, Format, Readable};
use utoipa::ToSchema;

use crate::api::Api;
use crate::api::body::LineError;
use crate::api::error::{ApiError, BodyFailures, Failures};
use crate::api::params::{NoParams, Params};

/// Mistakes that are told; the others are counted, and all are dead letters.
const ERRORS_TOLD: usize = 100;

/// What became of the pings of a request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PingsTaken {
    /// New ones.
    accepted: u64,
    /// Those that were there already, exactly so.
    duplicate: u64,
    /// Those that replaced one of the same target and time.
    replaced: u64,
    /// Those that cannot be stored; they are dead letters.
    rejected: u64,
    /// Those that were dropped because the queue was full, where the server is set to do so.
    shed: u64,
    /// What is wrong with the first 100 that were rejected.
    errors: Vec<LineError>,
}

/// Takes pings: a JSON object or array, NDJSON, CSV with a header, or Parquet; gzip, zstd and deflate by Content-Encoding.
/// Fields: `target`, `timestamp` (RFC 3339, or a number of s, ms, us or ns since 1970), `latency_ms` (left out when lost),
/// `success`, `ttl`, `packet_size`, `sequence`, `jitter_ms`, `error`. Sent again, they are stored once.
#[utoipa::path(
    post, operation_id = "post_pings", path = "/api/v1/pings", tag = "pings",
    request_body(description = "The pings", content(
        (Object = "application/json"), (String = "application/x-ndjson"), (String = "text/csv"),
        (String = "application/vnd.apache.parquet")
    )),
    responses((status = 200, description = "What became of them", body = PingsTaken), BodyFailures, Failures)
)]
pub(crate) async fn post(
    State(api): State<Api>,
    Params(NoParams {}): Params<NoParams>,
    request: Request,
) -> Result<Json<PingsTaken>, ApiError> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|text| text.to_str().ok());
    let format = content_type.and_then(Format::from_content_type).ok_or_else(|| {
        let types = Format::ALL.map(Format::content_type).join(", ");
        ApiError::unsupported_media_type(format!("send pings with a Content-Type of {types}"))
    })?;
    let body = api.receiver.body(request).await?;
    let read = tokio::task::spawn_blocking(move || Ping::read(format, body.as_ref(), Timestamp::now())).await;
    let read = read.map_err(|_| ApiError::internal())?.map_err(|error| ApiError::invalid_body(error.to_string()))?;
    let unread = read.bad.len() as u64;
    if unread > 0 {
        let letter = |bad: &BadRecord| DeadLetter::unread(Ping::TABLE.name, bad.line, &bad.error, &bad.text);
        api.writer.reject(Family::Ping, read.bad.iter().map(letter).collect()).await?;
    }
    api.alerts.observe(&read.records);
    let accepted = api.writer.pings(read.records).await?;
    let told = read.bad.into_iter().take(ERRORS_TOLD);
    Ok(Json(PingsTaken {
        accepted: accepted.counts.stored + accepted.queued,
        duplicate: accepted.counts.duplicate,
        replaced: accepted.counts.merged,
        rejected: accepted.rejected + unread,
        shed: accepted.shed,
        errors: told.map(LineError::from).collect(),
    }))
}
