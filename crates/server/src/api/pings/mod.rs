//! Pings: in, as lists and sums over time, out as files; who is probed, and alerts.

mod alerts;
mod configured;
mod export;
mod heatmap;
mod list;
mod outages;
mod post;
mod range;
mod read;
mod summary;
mod targets;

use axum::Router;
use axum::routing::{get, put};
use tower_http::compression::CompressionLayer;
use utoipa::OpenApi;

use super::Api;

/// The addresses, below `/api/v1`.
pub(super) fn router() -> Router<Api> {
    Router::new()
        .route("/pings", get(list::list).post(post::post))
        .route("/pings/export", get(export::export).layer(CompressionLayer::new()))
        .route("/targets", get(targets::list))
        .route("/targets/{target}/summary", get(targets::summary))
        .route("/targets/{target}/outages", get(outages::list))
        .route("/targets/{target}/heatmap", get(heatmap::get))
        .route("/ping/targets", get(configured::list).post(configured::add))
        .route("/ping/targets/{id}", put(configured::replace).delete(configured::remove))
        .route("/alerts", get(alerts::list))
        .route("/alerts/rules", get(alerts::rules).put(alerts::replace_rules))
}

/// Their part of the OpenAPI document.
#[derive(OpenApi)]
#[openapi(paths(
    list::list,
    post::post,
    export::export,
    targets::list,
    targets::summary,
    outages::list,
    heatmap::get,
    configured::list,
    configured::add,
    configured::replace,
    configured::remove,
    alerts::list,
    alerts::rules,
    alerts::replace_rules,
))]
pub(super) struct Document;
