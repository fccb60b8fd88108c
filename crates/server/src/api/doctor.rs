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

/// What is wrong with the data folder, its databases and backups: findings with their severity, what each means and what
/// mends it. Only where the store is SQLite.
#[utoipa::path(
    get, operation_id = "get_doctor", path = "/api/v1/doctor", tag = "server", params(DoctorFilter),
    responses((status = 200, description = "The findings", body = Object), Missing, Failures)
)]
pub(crate) async fn get(State(api): State<Api>, Params(filter): Params<DoctorFilter>) -> Result<Json<Value>, ApiError> {
    let missing = || ApiError::not_found("only where the store is SQLite is there a data folder to look at");
    let options = api.doctor.clone().ok_or_else(missing)?;
    // It reads whole tables, as other scans do.
    let permit = api.scans.clone().acquire_owned().await.map_err(|_| ApiError::unavailable("stopping"))?;
    let mirror = api.mirror.as_ref().map(tallybook_mirror::Mirror::status);
    let examined = tokio::task::spawn_blocking(move || {
        let mut report = tallybook_doctor::examine(&tallybook_doctor::Options { full: filter.full, ..options });
        if let Some(Status { target, state, lag, last_error, .. }) = mirror {
            let last_error = last_error.as_ref().map(|last| &*last.error);
            examine_mirror(Mirror { target: &target, state: state.as_str(), lag, last_error }, &mut report);
        }
        drop(permit);
        serde_json::to_value(report)
    });
    match examined.await {
        Ok(Ok(report)) => Ok(Json(report)),
        _ => Err(ApiError::internal()),
    }
}
