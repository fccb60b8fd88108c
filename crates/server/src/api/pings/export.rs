//! `pings/export`: pings as a file, sent while it is read.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use tallybook_core::{Page, Ping, Query, Store, StoreExt, TimeRange, Timestamp};
use utoipa::IntoParams;

use super::read;
use crate::api::Api;
use crate::api::download::{FileFormat, Pages, download};
use crate::api::error::{ApiError, Failures};
use crate::api::params::{Params, filled, moment};
use crate::api::schema;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExportFilter {
    /// Whose pings; those of all targets unless given.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    target: Option<String>,
    /// The first moment; from the first ping on unless given.
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    from: Option<Timestamp>,
    /// The first moment after; to the last ping unless given.
    #[serde(default, deserialize_with = "moment")]
    #[param(schema_with = schema::time)]
    to: Option<Timestamp>,
    /// The format of the file.
    #[serde(default)]
    #[param(inline)]
    format: FileFormat,
}

/// Single pings as a file, by target and time, compressed where `Accept-Encoding` allows gzip or zstd. A file that is cut off
/// ends with a broken connection, never as if it were whole.
#[utoipa::path(
    get, operation_id = "export_pings", path = "/api/v1/pings/export", tag = "pings", params(ExportFilter),
    responses((status = 200, description = "The file", content(
        (String = "text/csv"), (Vec<Object> = "application/json"), (String = "application/x-ndjson"),
        (String = "application/vnd.apache.parquet")
    )), Failures)
)]
pub(crate) async fn export(State(api): State<Api>, Params(filter): Params<ExportFilter>) -> Result<Response, ApiError> {
    let earliest = Timestamp(i64::MIN);
    let range = TimeRange { from: filter.from.unwrap_or(earliest), to: filter.to.unwrap_or(Timestamp(i64::MAX)) };
    if range.from >= range.to {
        return Err(ApiError::invalid_query(format!("from: {} is not before to: {}", range.from, range.to)));
    }
    let mut query = read::pings(range);
    query.conditions.extend(filter.target.as_deref().map(read::of_target));
    Ok(download("pings", filter.format, PingPages { store: api.store, query: Some(query) }).await?)
}

struct PingPages {
    store: Arc<dyn Store>,
    /// `None` at the end.
    query: Option<Query>,
}

impl Pages for PingPages {
    type Record = Ping;

    async fn next(&mut self) -> tallybook_core::Result<Vec<Ping>> {
        let Some(mut query) = self.query.take() else { return Ok(Vec::new()) };
        let Page { items, next, total: _ } = self.store.list(&query).await?;
        query.after = next;
        self.query = query.after.is_some().then_some(query);
        Ok(items)
    }
}
