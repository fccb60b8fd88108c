//! `ping/targets`: who is probed by this server.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tallybook_core::{PingTarget, Timestamp, Value};
use tallybook_probe::{Target, TargetState};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::summary::milliseconds;
use crate::api::Api;
use crate::api::body::JsonBody;
use crate::api::error::{ApiError, BodyFailures, ErrorBody, Failures, Missing};
use crate::api::page::{List, page_of};
use crate::api::params::{ListParams, Name, NoParams, Paging, Params};
use crate::api::schema;

/// A target that servers probe by themselves.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PingTarget)]
pub(crate) struct PingTargetItem {
    /// A UUID.
    id: Arc<str>,
    /// What is probed, and the target of its pings.
    target: Arc<str>,
    interval_ms: f64,
    timeout_ms: f64,
    /// Whether it is probed at present.
    enabled: bool,
    /// When it was changed last.
    #[schema(schema_with = schema::time)]
    updated: Timestamp,
    /// Pings that were lost since its last answer, as this server has seen it.
    consecutive_failures: Option<u64>,
    /// When this server probes it next; null where it does not.
    #[schema(schema_with = schema::nullable_time)]
    next_at: Option<Timestamp>,
}

/// A target to probe.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPingTarget {
    /// `HOST` for ICMP, `tcp://HOST:PORT`, `http://…` or `https://…`.
    #[schema(min_length = 1, max_length = 1024, example = "tcp://127.0.0.1:5432")]
    target: String,
    /// From one probe to the next. A target that does not answer is asked less often, every five minutes at the least.
    #[serde(default = "default_milliseconds")]
    #[schema(minimum = 100, maximum = 86_400_000, default = 1000)]
    interval_ms: u64,
    /// How long an answer may take.
    #[serde(default = "default_milliseconds")]
    #[schema(minimum = 1, maximum = 60_000, default = 1000)]
    timeout_ms: u64,
    /// Whether it is probed.
    #[serde(default = "default_enabled")]
    #[schema(default = true)]
    enabled: bool,
}

fn default_milliseconds() -> u64 {
    1_000
}

fn default_enabled() -> bool {
    true
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoFilter {}

/// There is such a target already, or there are as many as there can be.
#[derive(utoipa::IntoResponses)]
#[response(status = 409)]
#[expect(dead_code, reason = "it only describes an answer to the OpenAPI document")]
pub(crate) struct Conflict(ErrorBody);

/// The targets that servers probe by themselves, the earliest made first.
#[utoipa::path(
    get, operation_id = "list_ping_targets", path = "/api/v1/ping/targets", tag = "pings", params(Paging),
    responses((status = 200, description = "A page of targets", body = List<PingTargetItem>), Failures)
)]
pub(crate) async fn list(
    State(api): State<Api>,
    params: ListParams<NoFilter>,
) -> Result<Json<List<PingTargetItem>>, ApiError> {
    let paging = params.paging;
    let mut states = states(&api);
    let keyed = api.probing.targets().list().await?.into_iter().map(|row| {
        let state = states.remove(&*row.id);
        (vec![Value::Text(row.id.clone())], PingTargetItem::new(row, state))
    });
    Ok(Json(page_of(&paging, paging.descending(None), keyed.collect())?))
}

/// Adds a target. It is probed from now on.
#[utoipa::path(
    post, operation_id = "add_ping_target", path = "/api/v1/ping/targets", tag = "pings",
    request_body = NewPingTarget,
    responses((status = 201, description = "The target", body = PingTargetItem), Conflict, BodyFailures, Failures)
)]
pub(crate) async fn add(
    State(api): State<Api>,
    Params(NoParams {}): Params<NoParams>,
    JsonBody(body): JsonBody<NewPingTarget>,
) -> Result<(StatusCode, Json<PingTargetItem>), ApiError> {
    let id = Uuid::now_v7().hyphenated().to_string();
    let added = body.checked(&api, id.into())?;
    let add = |others: Vec<PingTarget>| {
        if others.len() >= PingTarget::MAX_TARGETS {
            let most = PingTarget::MAX_TARGETS;
            return Err(ApiError::conflict(format!(
                "there are {most} targets already, which is the most; remove some"
            )));
        }
        alone(added, &others)
    };
    let added = api.probing.targets().change(add).await?;
    Ok((StatusCode::CREATED, shown(&api, added).await))
}

/// Changes a target; what is left out of the body takes its default.
#[utoipa::path(
    put, operation_id = "replace_ping_target", path = "/api/v1/ping/targets/{id}", tag = "pings",
    params(("id" = String, Path, description = "The target's id")), request_body = NewPingTarget,
    responses(
        (status = 200, description = "The target", body = PingTargetItem), Missing, Conflict, BodyFailures, Failures
    )
)]
pub(crate) async fn replace(
    State(api): State<Api>,
    Name(id): Name,
    Params(NoParams {}): Params<NoParams>,
    JsonBody(body): JsonBody<NewPingTarget>,
) -> Result<Json<PingTargetItem>, ApiError> {
    let replaced = body.checked(&api, id.into())?;
    let replace = |others: Vec<PingTarget>| {
        find(&replaced.id, &others)?;
        alone(replaced, &others)
    };
    let replaced = api.probing.targets().change(replace).await?;
    Ok(shown(&api, replaced).await)
}

/// Removes a target. Its pings stay.
#[utoipa::path(
    delete, operation_id = "remove_ping_target", path = "/api/v1/ping/targets/{id}", tag = "pings",
    params(("id" = String, Path, description = "The target's id")),
    responses((status = 204, description = "It is probed no more"), Missing, Failures)
)]
pub(crate) async fn remove(
    State(api): State<Api>,
    Name(id): Name,
    Params(NoParams {}): Params<NoParams>,
) -> Result<StatusCode, ApiError> {
    let remove = |others: Vec<PingTarget>| -> Result<PingTarget, ApiError> {
        let found = find(&id, &others)?.clone();
        Ok(PingTarget { deleted: true, enabled: false, updated: Timestamp::now(), ..found })
    };
    api.probing.targets().change(remove).await?;
    sync(&api).await;
    Ok(StatusCode::NO_CONTENT)
}

impl NewPingTarget {
    /// The row of this id, if it can be probed from here.
    fn checked(self, api: &Api, id: Arc<str>) -> Result<PingTarget, ApiError> {
        let invalid = |error: tallybook_probe::ProbeError| ApiError::invalid_body(error.to_string());
        let target: Target = self.target.parse().map_err(invalid)?;
        let row = PingTarget {
            id,
            target: target.name().clone(),
            interval: self.interval_ms.saturating_mul(1_000_000),
            timeout: self.timeout_ms.saturating_mul(1_000_000),
            enabled: self.enabled,
            deleted: false,
            updated: Timestamp::now(),
        };
        if let Some(defect) = row.defect() {
            return Err(ApiError::invalid_body(defect));
        }
        api.probing.check(&target).map_err(invalid)?;
        Ok(row)
    }
}

impl PingTargetItem {
    fn new(row: PingTarget, state: Option<TargetState>) -> Self {
        Self {
            id: row.id,
            target: row.target,
            interval_ms: milliseconds(row.interval),
            timeout_ms: milliseconds(row.timeout),
            enabled: row.enabled,
            updated: row.updated,
            consecutive_failures: state.as_ref().map(|state| state.consecutive_failures),
            next_at: state.and_then(|state| state.next_at),
        }
    }
}

/// `row`, unless another one has its target.
fn alone(row: PingTarget, others: &[PingTarget]) -> Result<PingTarget, ApiError> {
    match others.iter().find(|other| other.target == row.target && other.id != row.id) {
        Some(other) => {
            Err(ApiError::conflict(format!("`{}` is a target already, under the id {}", row.target, other.id)))
        }
        None => Ok(row),
    }
}

fn find<'a>(id: &str, targets: &'a [PingTarget]) -> Result<&'a PingTarget, ApiError> {
    targets
        .iter()
        .find(|target| &*target.id == id)
        .ok_or_else(|| ApiError::not_found(format!("there is no target with the id `{id}`")))
}

fn states(api: &Api) -> HashMap<String, TargetState> {
    api.probing.states().into_iter().map(|state| (state.config.id.clone(), state)).collect()
}

async fn shown(api: &Api, row: PingTarget) -> Json<PingTargetItem> {
    sync(api).await;
    let state = states(api).remove(&*row.id);
    Json(PingTargetItem::new(row, state))
}

/// The change is stored; should the probes not learn of it now, they do with the next look.
async fn sync(api: &Api) {
    if let Err(error) = api.probing.sync().await {
        tracing::warn!(%error, "the targets to probe could not be read");
    }
}
