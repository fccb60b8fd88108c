//! `databases/{name}/…`: the engine over HTTP. A database is made by the first call that writes to it.

use axum::Json;
use axum::extract::State;
use serde_json::Value;
use tallybook_sqlite::{Engine, Params, Result as SqlResult, Step};

use super::bodies::{
    ExecuteBody, ExecutedAnswer, QueryBody, RowsAnswer, ScriptAnswer, ScriptBody, StepBody, TransactionAnswer,
    TransactionBody, rows, time,
};
use crate::api::Api;
use crate::api::body::JsonBody;
use crate::api::error::{ApiError, BodyFailures, Failures, Missing, SqlFailures};
use crate::api::params::{Name, NoParams, Params as QueryParams};

/// The end of the address, as the OpenAPI document describes it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only described; `Name` reads it")]
pub(crate) struct DatabasePath {
    /// The database: a to z, 0 to 9, _ and -
    #[param(pattern = "^[a-z0-9][a-z0-9_-]{0,63}$")]
    name: String,
}

/// Runs one statement, once or for many sets of parameters.
#[utoipa::path(
    post, operation_id = "execute_in_database", path = "/api/v1/databases/{name}/execute", tag = "sql",
    params(DatabasePath),
    request_body = ExecuteBody,
    responses((status = 200, description = "What it did", body = ExecutedAnswer), Missing, SqlFailures, BodyFailures, Failures)
)]
pub(crate) async fn execute(
    State(api): State<Api>,
    Name(name): Name,
    JsonBody(body): JsonBody<ExecuteBody>,
) -> Result<Json<ExecutedAnswer>, ApiError> {
    with(&api, name, true, move |engine| {
        let engine = body.ack.of(engine, body.time_limit_ms);
        let done = match body.sets {
            Some(sets) => {
                let sets = sets.into_iter().map(Params::try_from).collect::<SqlResult<Vec<_>>>()?;
                engine.execute_many(body.sql, sets)?
            }
            None => engine.execute(body.sql, Params::try_from(body.params)?)?,
        };
        Ok(Json(done.into()))
    })
    .await
}

/// Runs one statement that reads.
#[utoipa::path(
    post, operation_id = "query_database", path = "/api/v1/databases/{name}/query", tag = "sql",
    params(DatabasePath),
    request_body = QueryBody,
    responses((status = 200, description = "The rows", body = RowsAnswer), Missing, SqlFailures, BodyFailures, Failures)
)]
pub(crate) async fn query(
    State(api): State<Api>,
    Name(name): Name,
    JsonBody(body): JsonBody<QueryBody>,
) -> Result<Json<RowsAnswer>, ApiError> {
    with(&api, name, false, move |engine| {
        let engine = engine.with_time_limit(time(body.time_limit_ms));
        let found = engine.query_first(&body.sql, Params::try_from(body.params)?, rows(body.limit))?;
        Ok(Json(found.into()))
    })
    .await
}

/// Runs statements and queries as one transaction: all of them, or none.
#[utoipa::path(
    post, operation_id = "transact_in_database", path = "/api/v1/databases/{name}/transaction", tag = "sql",
    params(DatabasePath),
    request_body = TransactionBody,
    responses((status = 200, description = "What each step came to", body = TransactionAnswer), Missing, SqlFailures, BodyFailures, Failures)
)]
pub(crate) async fn transaction(
    State(api): State<Api>,
    Name(name): Name,
    JsonBody(body): JsonBody<TransactionBody>,
) -> Result<Json<TransactionAnswer>, ApiError> {
    let steps = body.steps.into_iter().map(step).collect::<Result<Vec<_>, _>>()?;
    with(&api, name, true, move |engine| {
        let engine = body.ack.of(engine, body.time_limit_ms);
        let answers = engine.batch(steps)?;
        Ok(Json(TransactionAnswer { steps: answers.into_iter().map(Into::into).collect() }))
    })
    .await
}

fn step(body: StepBody) -> Result<Step, ApiError> {
    let params = Params::try_from(body.params)?;
    match (body.execute, body.query) {
        (Some(sql), None) => Ok(Step::execute(sql, params)),
        (None, Some(sql)) => Ok(Step::query(sql, params)),
        _ => Err(ApiError::invalid_body("a step has either `execute` or `query`")),
    }
}

/// Runs a script as one transaction.
#[utoipa::path(
    post, operation_id = "run_script_in_database", path = "/api/v1/databases/{name}/script", tag = "sql",
    params(DatabasePath),
    request_body = ScriptBody,
    responses((status = 200, description = "What it did", body = ScriptAnswer), Missing, SqlFailures, BodyFailures, Failures)
)]
pub(crate) async fn script(
    State(api): State<Api>,
    Name(name): Name,
    JsonBody(body): JsonBody<ScriptBody>,
) -> Result<Json<ScriptAnswer>, ApiError> {
    with(&api, name, true, move |engine| {
        let engine = body.ack.of(engine, body.time_limit_ms);
        let done = engine.script(body.sql)?;
        Ok(Json(ScriptAnswer { statements: done.statements, rows: done.rows }))
    })
    .await
}

/// What was done with a database since it was opened: calls, errors by kind, waiting and running times, its log.
#[utoipa::path(
    get, operation_id = "get_database_stats", path = "/api/v1/databases/{name}/stats", tag = "sql",
    params(DatabasePath),
    responses((status = 200, description = "The numbers", body = Object), Missing, Failures)
)]
pub(crate) async fn stats(
    State(api): State<Api>,
    Name(name): Name,
    QueryParams(NoParams {}): QueryParams<NoParams>,
) -> Result<Json<Value>, ApiError> {
    with(&api, name, false, |engine| serde_json::to_value(engine.stats()).map(Json).map_err(|_| ApiError::internal()))
        .await
}

async fn with<T: Send + 'static>(
    api: &Api,
    name: String,
    make: bool,
    work: impl FnOnce(&Engine) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let databases = api.sql.databases.clone();
    api.with_sql(move || {
        let missing = || ApiError::not_found(format!("there is no database `{name}`; the first write makes it"));
        let databases = databases.ok_or_else(|| ApiError::not_found("this server has no folder for databases"))?;
        work(&databases.get(&name, make)?.ok_or_else(missing)?)
    })
    .await
}
