//! `mirror`: what follows the store, and the orders it takes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tallybook_core::Timestamp;
use tallybook_mirror::{Mirror, State as MirrorState, Status};
use utoipa::ToSchema;

use super::error::{ApiError, Failures, Missing};
use super::params::{Name, NoParams, Params};
use super::{Api, schema};

/// What follows the store.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Mirror)]
pub(crate) struct MirrorBody {
    /// What it is and where.
    target: Arc<str>,
    #[schema(schema_with = states)]
    state: &'static str,
    /// About how many rows and ticks wait; null while that is not known.
    lag_records: Option<u64>,
    /// How old the oldest thing may be that waits; null until it has caught up once.
    lag_seconds: Option<f64>,
    /// Rows it kept since the start of the server, each as often as it changed.
    rows: u64,
    /// Ticks it kept.
    ticks: u64,
    pages: u64,
    /// Failures since the start of the server.
    errors: u64,
    /// Since when nothing works; null while all does.
    #[schema(schema_with = schema::nullable_time)]
    failing_since: Option<Timestamp>,
    last_error: Option<Arc<str>>,
    #[schema(schema_with = schema::nullable_time)]
    last_error_at: Option<Timestamp>,
}

fn states() -> utoipa::openapi::schema::Object {
    schema::one_of(MirrorState::ALL.iter().map(|state| state.as_str()))
}

impl From<Status> for MirrorBody {
    fn from(status: Status) -> Self {
        let Status { target, state, lag_records, lag, progress, errors, failing_since, last_error } = status;
        let (last_error, last_error_at) = last_error.map(|last| (last.error, last.at)).unzip();
        Self {
            target,
            state: state.as_str(),
            lag_records,
            lag_seconds: lag.map(|lag| lag.as_secs_f64()),
            rows: progress.rows,
            ticks: progress.ticks,
            pages: progress.pages,
            errors,
            failing_since,
            last_error,
            last_error_at,
        }
    }
}

fn mirror_of(api: &Api) -> Result<&Mirror, ApiError> {
    let none = || ApiError::not_found("nothing follows this store; set MIRROR_URL and start the server again");
    api.mirror.as_ref().ok_or_else(none)
}

/// What follows the store, and how far behind it is; null where nothing does.
#[utoipa::path(
    get, operation_id = "get_mirror", path = "/api/v1/mirror", tag = "server",
    responses((status = 200, description = "The mirror", body = Option<MirrorBody>), Failures)
)]
pub(crate) async fn get(State(api): State<Api>, Params(NoParams {}): Params<NoParams>) -> Json<Option<MirrorBody>> {
    Json(api.mirror.as_ref().map(|mirror| mirror.status().into()))
}

/// Tells the mirror to rest (`pause`), to go on (`resume`), or to empty itself and begin anew (`rebuild`).
#[utoipa::path(
    post, operation_id = "order_mirror", path = "/api/v1/mirror/{order}", tag = "server",
    params(("order" = String, Path, description = "`pause`, `resume` or `rebuild`")),
    responses((status = 200, description = "The mirror, which may not have begun yet", body = MirrorBody), Failures, Missing)
)]
pub(crate) async fn order(
    State(api): State<Api>,
    Name(order): Name,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<MirrorBody>, ApiError> {
    let mirror = mirror_of(&api)?;
    match order.as_str() {
        "pause" => mirror.pause(),
        "resume" => mirror.resume(),
        "rebuild" => mirror.rebuild(),
        _ => return Err(ApiError::not_found("a mirror takes the orders pause, resume and rebuild")),
    }
    Ok(Json(mirror.status().into()))
}
