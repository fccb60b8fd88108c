//! `sql`: reading Tallybook's own database; and `databases`: small SQLite databases of others, over HTTP.

mod bodies;
mod databases;
mod own;

use axum::Router;
use axum::routing::{get, post};
use utoipa::OpenApi;

use super::Api;
use super::error::ApiError;

/// Calls that run SQL of others at the same time; the others wait for their turn.
pub(crate) const CONCURRENT_CALLS: usize = 64;

/// The addresses of this module, for the OpenAPI document.
#[derive(OpenApi)]
#[openapi(paths(
    own::query,
    databases::execute,
    databases::query,
    databases::transaction,
    databases::script,
    databases::stats
))]
pub(super) struct Document;

/// The addresses under `/api/v1`.
pub(crate) fn router() -> Router<Api> {
    Router::new()
        .route("/sql", post(own::query))
        .route("/databases/{name}/execute", post(databases::execute))
        .route("/databases/{name}/query", post(databases::query))
        .route("/databases/{name}/transaction", post(databases::transaction))
        .route("/databases/{name}/script", post(databases::script))
        .route("/databases/{name}/stats", get(databases::stats))
}

impl Api {
    /// Runs SQL on a thread that may block, where SQL is offered at all: whoever can reach the port can use it.
    async fn with_sql<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        if !self.sql.allowed {
            return Err(ApiError::forbidden("SQL is answered only where API_TOKEN is set"));
        }
        let permit = self.sql.calls.clone().acquire_owned().await.map_err(|_| ApiError::unavailable("stopping"))?;
        let answer = tokio::task::spawn_blocking(move || {
            let answer = work();
            drop(permit);
            answer
        });
        answer.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a call that runs SQL ended without an answer");
            Err(ApiError::internal())
        })
    }
}
