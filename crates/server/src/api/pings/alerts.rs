//! `alerts` and `alerts/rules`.

use axum::Json;
use axum::extract::State;
use tallybook_core::Value;

use super::configured::NoFilter;
use crate::alerts::{Alert, AlertOptions};
use crate::api::Api;
use crate::api::body::JsonBody;
use crate::api::error::{ApiError, BodyFailures, Failures};
use crate::api::page::{List, page_of};
use crate::api::params::{ListParams, NoParams, Paging, Params};

/// What was told and is not over, by target.
#[utoipa::path(
    get, operation_id = "list_alerts", path = "/api/v1/alerts", tag = "pings", params(Paging),
    responses((status = 200, description = "A page of alerts", body = List<Alert>), Failures)
)]
pub(crate) async fn list(State(api): State<Api>, params: ListParams<NoFilter>) -> Result<Json<List<Alert>>, ApiError> {
    let paging = params.paging;
    let key = |alert: &Alert| vec![Value::Text(alert.target.clone()), Value::from(alert.rule.as_str())];
    let keyed = api.alerts.firing().into_iter().map(|alert| (key(&alert), alert)).collect();
    Ok(Json(page_of(&paging, paging.descending(None), keyed)?))
}

/// What is watched for, and where alerts are posted.
#[utoipa::path(
    get, operation_id = "get_alert_rules", path = "/api/v1/alerts/rules", tag = "pings",
    responses((status = 200, description = "The rules", body = AlertOptions), Failures)
)]
pub(crate) async fn rules(
    State(api): State<Api>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<AlertOptions>, ApiError> {
    Ok(Json(api.alerts.options().await?))
}

/// Puts these rules in the place of all others, on every server that shares the store, and for ever.
#[utoipa::path(
    put, operation_id = "replace_alert_rules", path = "/api/v1/alerts/rules", tag = "pings",
    request_body = AlertOptions,
    responses((status = 200, description = "The rules", body = AlertOptions), BodyFailures, Failures)
)]
pub(crate) async fn replace_rules(
    State(api): State<Api>,
    Params(NoParams {}): Params<NoParams>,
    JsonBody(options): JsonBody<AlertOptions>,
) -> Result<Json<AlertOptions>, ApiError> {
    options.validate().map_err(ApiError::invalid_body)?;
    api.alerts.replace(options.clone()).await?;
    Ok(Json(options))
}
