//! `ticks/export`: a range of ticks as a download, in pieces as they are read.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use tallybook_core::{Tick, Timestamp};
use utoipa::IntoParams;

use super::super::Api;
use super::super::download::{FileFormat, Pages, download};
use super::super::error::{ApiError, Failures};
use super::super::params::{Params, moment};
use super::super::schema;
use super::range;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportFilter {
    /// Whose ticks.
    symbol: String,
    /// From this moment on (RFC 3339).
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    from: Option<Timestamp>,
    /// Until before this moment (RFC 3339).
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    to: Option<Timestamp>,
    /// The format.
    #[serde(default)]
    #[param(inline)]
    format: FileFormat,
    /// Goes on behind this tick, where a download broke off: its timestamp as the file has it, `-`, and its seq.
    after: Option<String>,
}

impl Pages for range::Pages {
    type Record = Tick;

    async fn next(&mut self) -> tallybook_core::Result<Vec<Tick>> {
        range::Pages::next(self).await
    }
}

/// A range of ticks of one symbol as a download, compressed where `Accept-Encoding` allows gzip or zstd.
#[utoipa::path(get, operation_id = "export_ticks", path = "/api/v1/ticks/export", tag = "ticks", params(ExportFilter),
    responses((status = 200, description = "The file", content(
        (String = "text/csv"), (Vec<Object> = "application/json"), (String = "application/x-ndjson"),
        (String = "application/vnd.apache.parquet")
    )), Failures))]
pub(crate) async fn export(State(api): State<Api>, Params(filter): Params<ExportFilter>) -> Result<Response, ApiError> {
    let ExportFilter { symbol, from, to, format, after } = filter;
    let after = after.as_deref().map(range::parse_token).transpose()?;
    let pages = range::Pages::new(api.store.clone(), symbol.into(), range::range(from, to)?, after);
    Ok(download("ticks", format, pages).await?)
}
