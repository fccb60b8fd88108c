//! `ticks/export`: a range of ticks as a download, in pieces as they are read.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use tallybook_core::{Tick, Timestamp};
use tallybook_formats::{Encoder, Format};
use utoipa::{IntoParams, ToSchema};

use super::super::Api;
use super::super::error::{ApiError, Failures};
use super::super::params::{Params, moment};
use super::super::schema;
use super::range::{self, Pages};

/// The format of a download.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ExportFormat {
    #[default]
    Csv,
    Json,
    Ndjson,
    Parquet,
}

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
    format: ExportFormat,
    /// Goes on behind this tick, where a download broke off: its time in nanoseconds since 1970, `-`, and its seq.
    after: Option<String>,
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

/// Reads on where the last piece ended.
struct Export {
    pages: Pages,
    /// `None` once the end is written.
    encoder: Option<Encoder<Tick>>,
}

impl Export {
    /// The next piece; an error breaks the download off, so that nobody takes a part for the whole.
    async fn next(&mut self) -> Option<tallybook_core::Result<Bytes>> {
        loop {
            let encoder = self.encoder.as_mut()?;
            let page = match self.pages.next().await {
                Ok(page) => page,
                Err(error) => {
                    self.encoder = None;
                    return Some(Err(error));
                }
            };
            if page.is_empty() {
                return self.encoder.take().map(|encoder| Ok(encoder.finish().into()));
            }
            let bytes = encoder.push(&page);
            if !bytes.is_empty() {
                return Some(Ok(bytes.into()));
            }
        }
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
    let pages = Pages::new(api.store.clone(), symbol.into(), range::range(from, to)?, after);
    let format = Format::from(format);
    let export = Export { pages, encoder: Some(Encoder::new(format)) };
    let pieces = stream::unfold(export, async |mut export| export.next().await.map(|piece| (piece, export)));
    // The connection may ask once more after the end.
    let pieces = pieces.fuse();
    let name = format!("attachment; filename=\"ticks.{}\"", format.extension());
    let headers = [(header::CONTENT_TYPE, format.content_type().to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, Body::from_stream(pieces)).into_response())
}
