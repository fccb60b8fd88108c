//! `commands`: those that the settings name, and starting one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::error::{ApiError, ErrorBody, Failures, Missing};
use super::params::{Name, NoParams, Params};
use crate::commands::{Commands, NamedCommand, NotStarted};

/// How long an answer waits until the execution can be read.
const RECORDED_MAX: Duration = Duration::from_secs(5);
const RECORDED_LOOK: Duration = Duration::from_millis(5);

/// A command that may be started.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Command)]
pub(crate) struct CommandItem {
    name: String,
    /// What it does, as the settings have it.
    description: Option<String>,
}

/// All commands that may be started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CommandList {
    data: Vec<CommandItem>,
}

/// A command that was started.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CommandStarted {
    /// The execution it is recorded as.
    id: String,
    name: String,
}

impl Api {
    /// Whoever can reach the port could start them: only behind a token are there any.
    fn commands(&self) -> Result<&Arc<dyn Commands>, ApiError> {
        self.commands.as_ref().ok_or_else(|| ApiError::forbidden("commands are started only where API_TOKEN is set"))
    }
}

/// The commands that the settings name. Answered where API_TOKEN is set.
#[utoipa::path(
    get, operation_id = "list_commands", path = "/api/v1/commands", tag = "executions",
    responses((status = 200, description = "All of them", body = CommandList), Failures)
)]
pub(crate) async fn list(
    State(api): State<Api>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<CommandList>, ApiError> {
    let item = |NamedCommand { name, description }| CommandItem { name, description };
    Ok(Json(CommandList { data: api.commands()?.list().into_iter().map(item).collect() }))
}

/// Starts a command that the settings name, as they have it: nothing of the request reaches its command line. Answered once it
/// runs; its execution is at the address in Location.
#[utoipa::path(
    post, operation_id = "run_command", path = "/api/v1/commands/{name}/run", tag = "executions",
    params(("name" = String, Path)),
    responses(
        (status = 202, description = "It runs", body = CommandStarted, headers(("Location", description = "The execution"))),
        (status = 429, description = "As many commands run as may", body = ErrorBody), Failures, Missing)
)]
pub(crate) async fn run(
    State(api): State<Api>,
    Name(name): Name,
    Params(NoParams {}): Params<NoParams>,
    headers: HeaderMap,
) -> Result<(StatusCode, [(header::HeaderName, String); 1], Json<CommandStarted>), ApiError> {
    let commands = api.commands()?;
    let length = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    if length || headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(ApiError::invalid_body("a command takes nothing from a request; send no body"));
    }
    let id = commands.start(&name).map_err(|why| match why {
        NotStarted::Unknown => ApiError::not_found(format!("the settings name no command `{name}`")),
        NotStarted::TooMany(_) => ApiError::too_many(why.to_string()),
        NotStarted::Stopping | NotStarted::NotRecorded(_) => ApiError::unavailable(why.to_string()),
        NotStarted::Failed(_) => {
            tracing::error!(command = name, error = %why, "a command was not started");
            ApiError::internal()
        }
    })?;
    // A store that is away for now gets the record later.
    let begun = Instant::now();
    while begun.elapsed() < RECORDED_MAX {
        let under_way = commands.is_under_way(&id);
        if api.execution(&id).await.is_ok() {
            break;
        }
        if !under_way {
            tracing::error!(command = name, "a command was not started: its runner ended and recorded nothing");
            return Err(ApiError::internal());
        }
        tokio::time::sleep(RECORDED_LOOK).await;
    }
    let location = [(header::LOCATION, format!("/api/v1/executions/{id}"))];
    Ok((StatusCode::ACCEPTED, location, Json(CommandStarted { id, name })))
}
