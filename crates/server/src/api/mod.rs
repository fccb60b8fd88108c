//! The JSON API: one module per resource, each with its handlers, its filters and the shape of its answers.

mod artifacts;
mod attributes;
mod body;
mod commands;
mod complexity;
mod counts;
mod dead_letters;
mod doctor;
mod download;
mod error;
mod executions;
mod exposition;
mod growth;
mod guard;
mod high;
mod keys;
mod logs;
mod metrics;
mod mirror;
mod openapi;
mod overview;
mod page;
mod params;
mod pings;
mod records;
mod retention;
pub(crate) mod schema;
mod services;
mod span_patterns;
mod spans;
mod sql;
mod stats;
mod status;
mod templates;
mod ticks;
mod unread;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use tallybook_core::{Store, Timestamp};
use tallybook_mirror::Mirror;
use tallybook_runner::Artifacts;
use tallybook_writer::Writer;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::alerts::Alerts;
use crate::commands::Commands;
use crate::counters::Counters;
use crate::databases::Databases;
use crate::doctor::Doctor;
use crate::executions::Executions;
use crate::otlp::Receiver;
use crate::probing::Probing;
use error::ApiError;
use exposition::Exposition;

pub(crate) use guard::Guard;
pub(crate) use openapi::openapi_json;
pub use unread::MAX_DEAD_LETTERS;

/// Calls that read whole tables run at most this many at a time; the others wait for their turn.
const CONCURRENT_SCANS: usize = 2;

/// What the handlers share.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    store: Arc<dyn Store>,
    writer: Writer,
    mirror: Option<Mirror>,
    receiver: Receiver,
    probing: Probing,
    alerts: Alerts,
    executions: Executions,
    /// What may be started; nothing without a token.
    commands: Option<Arc<dyn Commands>>,
    /// Where contents of artifacts lie; a server without a data folder has none.
    artifacts: Option<Artifacts>,
    started: Timestamp,
    stopping: CancellationToken,
    scans: Arc<Semaphore>,
    exposition: Arc<Exposition>,
    sql: Sql,
    doctor: Option<Arc<dyn Doctor>>,
}

/// What answers SQL.
#[derive(Clone, Debug)]
pub(crate) struct Sql {
    /// Whether SQL is offered at all.
    pub(crate) allowed: bool,
    /// Tallybook's own database, where it is SQLite.
    pub(crate) own: Option<PathBuf>,
    /// Those of others.
    pub(crate) databases: Option<Databases>,
    pub(crate) calls: Arc<Semaphore>,
}

impl Sql {
    pub(crate) fn new(allowed: bool, own: Option<PathBuf>, databases: Option<Databases>) -> Self {
        Self { allowed, own, databases, calls: Arc::new(Semaphore::new(sql::CONCURRENT_CALLS)) }
    }
}

impl Api {
    /// An API over `store`; `stopping` makes it say that it is not ready any more.
    #[expect(clippy::too_many_arguments, reason = "each is a part that the handlers share")]
    pub(crate) fn new(
        store: Arc<dyn Store>,
        writer: Writer,
        mirror: Option<Mirror>,
        receiver: Receiver,
        probing: Probing,
        alerts: Alerts,
        counters: &Counters,
        stopping: CancellationToken,
    ) -> Self {
        let exposition = Arc::new(Exposition::new(counters, writer.clone(), mirror.clone()));
        let scans = Arc::new(Semaphore::new(CONCURRENT_SCANS));
        let started = Timestamp::now();
        let executions = Executions::new(store.clone(), writer.clone());
        Self {
            store,
            writer,
            mirror,
            receiver,
            probing,
            alerts,
            executions,
            commands: None,
            artifacts: None,
            started,
            stopping,
            scans,
            exposition,
            sql: Sql::new(false, None, None),
            doctor: None,
        }
    }

    /// The same, with what a data folder brings.
    pub(crate) fn with_files(self, artifacts: Option<Artifacts>, sql: Sql, doctor: Option<Arc<dyn Doctor>>) -> Self {
        Self { artifacts, sql, doctor, ..self }
    }

    /// The same, with commands that may be started.
    pub(crate) fn with_commands(self, commands: Option<Arc<dyn Commands>>) -> Self {
        Self { commands, ..self }
    }

    pub(crate) fn router(self, guard: Guard) -> Router {
        let v1 = Router::new()
            .route("/services", get(services::list))
            .route("/services/{name}/overview", get(overview::get))
            .route("/metrics", get(metrics::list))
            .route("/metrics/{*name}", get(metrics::get))
            .route("/spans", get(spans::list))
            .route("/spans/{*name}", get(spans::get))
            .route("/span-patterns", get(span_patterns::list))
            .route("/logs", get(logs::list))
            .route("/logs/templates", get(templates::list))
            .route("/logs/{severity}", get(logs::get))
            .route("/attributes", get(attributes::list))
            .route("/attributes/{*key}", get(attributes::get))
            .route("/cardinality/high", get(high::list))
            .route("/cardinality/complexity", get(complexity::list))
            .route("/growth", get(growth::list))
            .route("/stats", get(stats::get))
            .route("/retention", get(retention::get))
            .route("/dead-letters", get(dead_letters::list).post(unread::post))
            .route("/commands", get(commands::list))
            .route("/commands/{name}/run", post(commands::run))
            .route("/doctor", get(doctor::get))
            .route("/mirror", get(mirror::get))
            .route("/mirror/{order}", post(mirror::order))
            .route("/health", get(status::health))
            .route("/ready", get(status::ready))
            .route("/version", get(status::version))
            .route("/openapi.json", get(openapi::get))
            .merge(sql::router())
            .merge(executions::router())
            .merge(artifacts::router())
            .merge(ticks::router())
            .merge(pings::router());
        Router::new()
            .nest("/api/v1", v1)
            .route("/metrics", get(exposition::get))
            .fallback(async || ApiError::not_found("there is nothing at this address; see /api/v1/openapi.json"))
            .method_not_allowed_fallback(async || ApiError::method_not_allowed())
            .layer(DefaultBodyLimit::max(usize::try_from(guard.max_body_bytes).unwrap_or(usize::MAX)))
            .layer(CatchPanicLayer::custom(|_| ApiError::internal().into_response()))
            .layer(middleware::from_fn_with_state(guard, guard::guard))
            .with_state(self)
    }
}
