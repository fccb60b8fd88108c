//! `POST executions/{id}/events`: what happens to an execution, from whoever runs it.

use axum::Json;
use axum::extract::{Request, State};
use serde::Serialize;
use tallybook_core::{ExecutionEvent, ExecutionStatus};
use tallybook_formats::Format;
use utoipa::ToSchema;

use super::failure;
use crate::api::Api;
use crate::api::error::{ApiError, BodyFailures, ErrorBody, Failures, Missing};
use crate::api::params::{Name, NoParams, Params};
use crate::api::records::format_of;
use crate::api::schema;

/// What became of events.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventsTaken {
    /// Those that are new, and stored.
    accepted: u64,
    /// Those that were here before.
    duplicate: u64,
    /// The number of the next event.
    next: u64,
    #[schema(schema_with = schema::execution_status)]
    status: ExecutionStatus,
    /// Whether somebody wants the execution to end.
    cancel: bool,
}

/// Takes events of one execution in the order of their numbers: one JSON object, an array of them, or NDJSON; gzip, zstd or
/// deflate. The first event, `created`, makes the execution. Events that were sent before change nothing; without any, only
/// the answer counts. `docs/executions.md` lists them all.
#[utoipa::path(post, operation_id = "post_execution_events", path = "/api/v1/executions/{id}/events", tag = "executions",
    params(("id" = String, Path)),
    request_body(content((String = "application/json"), (String = "application/x-ndjson"))),
    responses((status = 200, body = EventsTaken),
        (status = 409, description = "An event cannot happen now; those before it are stored", body = ErrorBody),
        Failures, BodyFailures, Missing))]
pub(crate) async fn post(
    State(api): State<Api>,
    Name(id): Name,
    Params(NoParams {}): Params<NoParams>,
    request: Request,
) -> Result<Json<EventsTaken>, ApiError> {
    let format = format_of(request.headers(), &[Format::Json, Format::Ndjson])?;
    let body = api.receiver.body(request).await?;
    // Reading lines means compressing them.
    let read = tokio::task::spawn_blocking(move || match format {
        Format::Ndjson => ndjson(body.as_ref()),
        _ => json(body.as_ref()),
    });
    let events = read.await.map_err(|_| ApiError::internal())??;
    let taken = api.executions.take(&id, events).await.map_err(|not_taken| failure(&id, not_taken))?;
    if let Some(error) = taken.refused {
        return Err(ApiError::conflict(format!("event {}: {error}", taken.next)));
    }
    let status = taken.execution.status;
    let cancel = !status.is_final() && api.executions.is_to_end(&id).await?;
    Ok(Json(EventsTaken { accepted: taken.accepted, duplicate: taken.duplicate, next: taken.next, status, cancel }))
}

fn ndjson(body: &[u8]) -> Result<Vec<ExecutionEvent>, ApiError> {
    let lines = (1..).zip(body.split(|&byte| byte == b'\n'));
    let filled = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    let event = |(number, line): (usize, &[u8])| {
        serde_json::from_slice(line).map_err(|error| ApiError::invalid_body(format!("line {number}: {error}")))
    };
    filled.map(event).collect()
}

fn json(body: &[u8]) -> Result<Vec<ExecutionEvent>, ApiError> {
    let bad = |error: serde_json::Error| ApiError::invalid_body(error.to_string());
    match body.trim_ascii().first() {
        None => Ok(Vec::new()),
        Some(b'[') => serde_json::from_slice(body).map_err(bad),
        Some(_) => serde_json::from_slice(body).map(|event| vec![event]).map_err(bad),
    }
}
