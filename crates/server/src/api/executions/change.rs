//! `POST executions`, `executions/{id}/cancel` and `DELETE executions/{id}`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use tallybook_core::{EventError, ExecutionEvent, ExecutionEventKind, NewExecution, SourceId, Timestamp};
use utoipa::ToSchema;

use super::failure;
use super::item::ExecutionItem;
use crate::api::Api;
use crate::api::body::JsonBody;
use crate::api::error::{ApiError, BodyFailures, ErrorBody, Failures, Missing};
use crate::api::params::{Name, NoParams, Params, natural};
use crate::api::schema;
use crate::executions::NotTaken;

/// An execution that is about to begin.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateExecution {
    /// A UUID of the client's own, so that a repeat makes no second one; the server gives one otherwise.
    #[schema(pattern = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
    id: Option<String>,
    /// What people call it; runs of one name are compared.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// The program and its arguments.
    #[serde(default)]
    command: Vec<String>,
    working_directory: Option<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    user_name: Option<String>,
    host: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    /// Steps that are announced.
    #[serde(default, deserialize_with = "natural")]
    total_steps: u64,
    /// When it may be removed; after `KEEP_EXECUTIONS` unless given.
    #[schema(schema_with = schema::nullable_time)]
    expires_at: Option<Timestamp>,
}

/// Why an execution is to end.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CancelExecution {
    reason: Option<String>,
    /// End it here and now, because its runner is gone; what that still sends is refused.
    #[serde(default)]
    force: bool,
}

/// Makes an execution that has not begun. Its next event has the number 2, and goes to `/executions/{id}/events`.
#[utoipa::path(post, operation_id = "create_execution", path = "/api/v1/executions", tag = "executions",
    request_body = CreateExecution,
    responses((status = 201, body = ExecutionItem), (status = 409, body = ErrorBody), Failures, BodyFailures))]
pub(crate) async fn create(
    State(api): State<Api>,
    Params(NoParams {}): Params<NoParams>,
    JsonBody(body): JsonBody<CreateExecution>,
) -> Result<(StatusCode, Json<ExecutionItem>), ApiError> {
    let text = |text: Option<String>| text.map(Arc::from);
    let new = NewExecution {
        name: body.name.into(),
        command: body.command,
        working_directory: text(body.working_directory),
        environment: body.environment,
        user_name: text(body.user_name),
        host: text(body.host),
        runner: None,
        tags: body.tags,
        metadata: body.metadata,
        total_steps: body.total_steps,
        expires_at: body.expires_at,
    };
    let id = body.id.unwrap_or_else(|| SourceId::mint().to_string());
    let event = ExecutionEvent { number: 1, at: Timestamp::now(), kind: ExecutionEventKind::Created(new) };
    match api.executions.take(&id, vec![event]).await {
        Ok(taken) => Ok((StatusCode::CREATED, Json(taken.execution.into()))),
        Err(NotTaken::Id(defect) | NotTaken::Event(EventError::Defect(defect))) => Err(ApiError::invalid_body(defect)),
        Err(not_taken) => Err(failure(&id, not_taken)),
    }
}

/// Asks for an execution to end. Its runner learns of it with the answer to its next events, within a second; one that has not
/// begun is cancelled at once.
#[utoipa::path(post, operation_id = "cancel_execution", path = "/api/v1/executions/{id}/cancel", tag = "executions",
    params(("id" = String, Path)), request_body = CancelExecution,
    responses((status = 202, body = ExecutionItem), (status = 409, description = "It has ended", body = ErrorBody),
        Failures, BodyFailures, Missing))]
pub(crate) async fn cancel(
    State(api): State<Api>,
    Name(id): Name,
    Params(NoParams {}): Params<NoParams>,
    JsonBody(CancelExecution { reason, force }): JsonBody<CancelExecution>,
) -> Result<(StatusCode, Json<ExecutionItem>), ApiError> {
    let reason = reason.map(|reason| reason.replace('\0', "\u{fffd}").chars().take(1_000).collect::<String>().into());
    let cancelled = api.executions.cancel(&id, reason, force).await;
    let execution = cancelled.map_err(|not_taken| failure(&id, not_taken))?;
    Ok((StatusCode::ACCEPTED, Json(execution.into())))
}

/// Removes an execution that has ended, with its steps, lines and artifacts.
#[utoipa::path(delete, operation_id = "remove_execution", path = "/api/v1/executions/{id}", tag = "executions",
    params(("id" = String, Path)),
    responses((status = 204), (status = 409, description = "It has not ended", body = ErrorBody), Failures, Missing))]
pub(crate) async fn remove(
    State(api): State<Api>,
    Name(id): Name,
    Params(NoParams {}): Params<NoParams>,
) -> Result<StatusCode, ApiError> {
    api.executions.remove(&id).await.map_err(|not_taken| failure(&id, not_taken))?;
    Ok(StatusCode::NO_CONTENT)
}
