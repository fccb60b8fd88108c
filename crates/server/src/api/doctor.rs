//! `doctor`: what is wrong with the server's data, and what mends it.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::Value;
use tallybook_doctor::{Mirror, examine_mirror};
use tallybook_mirror::Status;
use utoipa::IntoParams;

use super::Api;
use super::error::{ApiError, Failures, Missing};
use super::params::Params;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct DoctorFilter {
    /// Whether every page, segment and backup is read, which takes its time.
    #[serde(default)]
    #[param(default = false)]
    full: bool,
}

/// What is wrong with the store and what belongs to it: findings with their severity, what each means and what mends it. With
/// SQLite these are of the data folder, its databases and backups; with PostgreSQL of its server and database.
#[utoipa::path(
    get, operation_id = "get_doctor", path = "/api/v1/doctor", tag = "server", params(DoctorFilter),
    responses((status = 200, description = "The findings", body = Object), Missing, Failures)
)]
pub(crate) async fn get(State(api): State<Api>, Params(filter): Params<DoctorFilter>) -> Result<Json<Value>, ApiError> {
    let doctor = api.doctor.as_ref().ok_or_else(|| ApiError::not_found("this server knows no doctor"))?;
    // It reads whole tables, as other scans do.
    let _permit = api.scans.acquire().await.map_err(|_| ApiError::unavailable("stopping"))?;
    let mut report = doctor.examine(filter.full).await;
    if let Some(Status { target, state, lag, last_error, .. }) =
        api.mirror.as_ref().map(tallybook_mirror::Mirror::status)
    {
        let last_error = last_error.as_ref().map(|last| &*last.error);
        examine_mirror(Mirror { target: &target, state: state.as_str(), lag, last_error }, &mut report);
    }
    serde_json::to_value(report).map(Json).map_err(|_| ApiError::internal())
}
