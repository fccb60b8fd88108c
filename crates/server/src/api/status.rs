//! `health`, `ready` and `version`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tallybook_core::{Query, Record, Service};
use tallybook_mirror::Mirror;
use tallybook_writer::Health;
use utoipa::ToSchema;

use super::Api;
use super::error::{ApiError, Failures};
use super::params::{NoParams, Params};

/// It is well.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Status {
    /// `degraded` where what follows the store does not: records are taken and read all the same.
    #[schema(example = "ok")]
    status: &'static str,
    /// Why it is degraded.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Status {
    fn ok() -> Self {
        Self { status: "ok", reason: None }
    }
}

/// What runs here.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Version)]
pub(crate) struct VersionBody {
    #[schema(example = "tallybook")]
    name: &'static str,
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// The name of the store in `USE_DB`.
    #[schema(example = "sqlite")]
    store: &'static str,
    /// The version of the store's engine.
    store_version: String,
}

/// Whether the process answers. Needs no token.
#[utoipa::path(
    get, operation_id = "get_health", path = "/api/v1/health", tag = "server",
    responses((status = 200, description = "It answers", body = Status), Failures)
)]
pub(crate) async fn health(Params(NoParams {}): Params<NoParams>) -> Json<Status> {
    Json(Status::ok())
}

/// Whether telemetry can be received and read: the store answers, and what arrives reaches it. Needs no token.
#[utoipa::path(
    get, operation_id = "get_ready", path = "/api/v1/ready", tag = "server",
    responses((status = 200, description = "It is ready", body = Status), Failures)
)]
pub(crate) async fn ready(
    State(api): State<Api>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<Status>, ApiError> {
    if api.stopping.is_cancelled() {
        return Err(ApiError::unavailable("the server is stopping"));
    }
    if let Health::Failing { since, error } = api.writer.health() {
        return Err(ApiError::unavailable(format!("nothing has reached the store since {since}: {error}")));
    }
    api.store.select(Service::TABLE, &Query::new(1)).await?;
    let mirror = api.mirror.as_ref().map(Mirror::status).filter(|mirror| mirror.state.is_degraded());
    Ok(Json(mirror.map_or_else(Status::ok, |mirror| {
        let error = mirror.last_error.map_or_else(|| "it fails".into(), |last| last.error);
        Status { status: "degraded", reason: Some(format!("the mirror {} does not follow: {error}", mirror.target)) }
    })))
}

/// What runs here.
#[utoipa::path(
    get, operation_id = "get_version", path = "/api/v1/version", tag = "server",
    responses((status = 200, description = "The versions", body = VersionBody), Failures)
)]
pub(crate) async fn version(State(api): State<Api>, Params(NoParams {}): Params<NoParams>) -> Json<VersionBody> {
    let info = api.store.info();
    Json(VersionBody {
        name: "tallybook",
        version: env!("CARGO_PKG_VERSION"),
        store: info.name,
        store_version: info.version,
    })
}
