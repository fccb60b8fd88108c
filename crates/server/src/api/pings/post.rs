//! `POST /pings`.

use axum::Json;
use axum::extract::{Request, State};
use serde::Serialize;
use tallybook_core::{Family, Ping, Timestamp};
use tallybook_formats::{Format, Read};
use utoipa::ToSchema;

use crate::api::Api;
use crate::api::error::{ApiError, BodyFailures, Failures};
use crate::api::params::{NoParams, Params};
use crate::api::records::{LineError, format_of};

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
    let format = format_of(request.headers(), &Format::ALL)?;
    let Read { records, bad } = api.read::<Ping>(request, format, Timestamp::now()).await?;
    let (unread, mut errors) = (bad.len() as u64, Vec::new());
    api.put_aside(Family::Ping, bad, None, &mut errors).await?;
    api.alerts.observe(&records);
    let accepted = api.writer.pings(records).await?;
    Ok(Json(PingsTaken {
        accepted: accepted.counts.stored + accepted.queued,
        duplicate: accepted.counts.duplicate,
        replaced: accepted.counts.merged,
        rejected: accepted.rejected + unread,
        shed: accepted.shed,
        errors,
    }))
}
