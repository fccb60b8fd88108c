//! `pings/export`: pings as a file, sent while it is read.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use tallybook_core::{Page, Ping, Query, Store, StoreExt, TimeRange, Timestamp};
use tallybook_formats::{Encoder, Format};
use utoipa::{IntoParams, ToSchema};

use super::read;
use crate::api::Api;
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
    format: ExportFormat,
}

/// The format of an exported file.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ExportFormat {
    #[default]
    Csv,
    Json,
    Ndjson,
    Parquet,
}

impl From<ExportFormat> for Format {
    fn from(format: ExportFormat) -> Self {
        match format {
            ExportFormat::Csv => Self::Csv,
            ExportFormat::Json => Self::Json,
            ExportFormat::Ndjson => Self::Ndjson,
            ExportFormat::Parquet => Self::Parquet,
        }
    }
}

/// Single pings as a file, by target and time. A file that is cut off ends with a broken connection, never as if it were
/// whole.
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
    // Before the answer begins: a store that is away is an error, not an empty file.
    let first = api.store.list(&query).await?;
    let format = Format::from(filter.format);
    let headers = [
        (header::CONTENT_TYPE, format.content_type().to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"pings.{}\"", format.extension())),
    ];
    let file = File { store: api.store, query, encoder: Encoder::new(format), page: first };
    Ok((headers, Body::from_stream(stream::try_unfold(Some(file), send))).into_response())
}

struct File {
    store: Arc<dyn Store>,
    query: Query,
    encoder: Encoder<Ping>,
    page: Page<Ping>,
}

/// The bytes of the page that was read, and the file with the next one; `None` once the last bytes are out.
async fn send(file: Option<File>) -> tallybook_core::Result<Option<(Bytes, Option<File>)>> {
    let Some(mut file) = file else { return Ok(None) };
    let mut bytes = file.encoder.push(&file.page.items);
    if file.page.next.is_none() {
        bytes.extend(file.encoder.finish());
        return Ok(Some((bytes.into(), None)));
    }
    file.query.after = file.page.next.take();
    file.page = file.store.list(&file.query).await?;
    Ok(Some((bytes.into(), Some(file))))
}
