//! `ticks`, `symbols` and `ohlc`: quotes as they were sent, and what they come to.

pub(crate) mod bars;
pub(crate) mod export;
pub(crate) mod list;
pub(crate) mod post;
pub(crate) mod quality;
mod range;
pub(crate) mod symbols;

use axum::Router;
use axum::routing::{get, post};
use tower_http::compression::CompressionLayer;
use utoipa::OpenApi;

use super::Api;

/// The addresses of this module, for the OpenAPI document.
#[derive(OpenApi)]
#[openapi(paths(
    list::list,
    list::recent,
    post::post,
    post::stream,
    symbols::count,
    symbols::segments,
    symbols::list,
    export::export,
    quality::get,
    bars::get,
))]
pub(super) struct Document;

/// The addresses under `/api/v1`.
pub(crate) fn router() -> Router<Api> {
    Router::new()
        .route("/ticks", get(list::list).post(post::post))
        .route("/ticks/stream", post(post::stream))
        .route("/ticks/recent", get(list::recent))
        .route("/ticks/count", get(symbols::count))
        .route("/ticks/export", get(export::export).layer(CompressionLayer::new()))
        .route("/ticks/quality", get(quality::get))
        .route("/ticks/segments", get(symbols::segments))
        .route("/ohlc", get(bars::get))
        .route("/symbols", get(symbols::list))
}
