//! `sql`: one statement that reads Tallybook's own database.

use axum::Json;
use axum::extract::State;
use tallybook_sqlite::{AskLimits, Params, ask};

use super::bodies::{QueryBody, RowsAnswer, rows, time};
use crate::api::Api;
use crate::api::body::JsonBody;
use crate::api::error::{ApiError, BodyFailures, Failures, SqlFailures};

/// Bytes of one answer.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Reads Tallybook's own database: tables and views as in docs/api.md. The connection can only read, and an authorizer
/// refuses every statement that does anything else. Answered where API_TOKEN is set and the store is SQLite.
#[utoipa::path(
    post, operation_id = "query_sql", path = "/api/v1/sql", tag = "sql", request_body = QueryBody,
    responses((status = 200, description = "The rows", body = RowsAnswer), SqlFailures, BodyFailures, Failures)
)]
pub(crate) async fn query(
    State(api): State<Api>,
    JsonBody(body): JsonBody<QueryBody>,
) -> Result<Json<RowsAnswer>, ApiError> {
    let database = api.sql.own.clone();
    api.with_sql(move || {
        let database =
            database.ok_or_else(|| ApiError::not_found("only where the store is SQLite can it be read with SQL"))?;
        let limits = AskLimits { rows: rows(body.limit), bytes: MAX_ANSWER_BYTES, time: time(body.time_limit_ms) };
        let params = Params::try_from(body.params)?;
        Ok(Json(ask(&database, &body.sql, &params, limits)?.into()))
    })
    .await
}
