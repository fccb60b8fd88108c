//! `openapi.json`: the document, made from the handlers themselves.

use std::sync::LazyLock;

use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::error::{ErrorBody, Failures};
use super::params::{NoParams, Params};
use super::{
    artifacts, attributes, commands, complexity, dead_letters, doctor, executions, exposition, growth, high, logs,
    metrics, mirror, overview, pings, retention, services, span_patterns, spans, sql, stats, status, templates, ticks,
    unread,
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tallybook",
        description = "What telemetry a system emits: services, metrics, spans, log templates and attribute keys; whether \
                       its hosts answer; what its feeds quote; what its jobs did. Lists are filtered, sorted and paged alike; errors have one form."
    ),
    paths(
        services::list,
        overview::get,
        metrics::list,
        metrics::get,
        spans::list,
        spans::get,
        span_patterns::list,
        logs::list,
        logs::get,
        templates::list,
        attributes::list,
        attributes::get,
        high::list,
        complexity::list,
        growth::list,
        stats::get,
        retention::get,
        dead_letters::list,
        commands::list,
        commands::run,
        doctor::get,
        unread::post,
        mirror::get,
        mirror::order,
        status::health,
        status::ready,
        status::version,
        exposition::get,
        get,
    ),
    components(schemas(ErrorBody)),
    tags(
        (name = "catalogue", description = "What was seen"),
        (name = "cardinality", description = "What explodes, and what is new"),
        (name = "pings", description = "Whether hosts answer, and how fast"),
        (name = "ticks", description = "What price feeds quote"),
        (name = "sql", description = "SQL over Tallybook's own database, and SQLite databases of others"),
        (name = "executions", description = "What jobs did"),
        (name = "server", description = "The server itself")
    ),
    security((), ("token" = [])),
    modifiers(&TokenScheme)
)]
struct Document;

struct TokenScheme;

impl Modify for TokenScheme {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("API_TOKEN, where it is set"));
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme.build()));
    }
}

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let mut document = Document::openapi();
    document.merge(pings::Document::openapi());
    document.merge(sql::Document::openapi());
    document.merge(ticks::Document::openapi());
    document.merge(executions::Document::openapi());
    document.merge(artifacts::Document::openapi());
    let document = document.to_pretty_json().expect("the document is made of texts and numbers");
    document + "\n"
});

/// The document as text.
pub(crate) fn openapi_json() -> String {
    DOCUMENT.clone()
}

/// This document.
#[utoipa::path(
    get, operation_id = "get_openapi", path = "/api/v1/openapi.json", tag = "server",
    responses((status = 200, description = "The document", body = Object, content_type = "application/json"), Failures)
)]
pub(crate) async fn get(Params(NoParams {}): Params<NoParams>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, JSON)], DOCUMENT.as_str())
}
