//! `executions/{id}/logs` and `…/logs/text`.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tallybook_core::{Condition, LineEnd, LogChunk, Query, Store, StoreExt, Stream};
use utoipa::{IntoParams, ToSchema};

use super::lines::{Ansi, LineItem, Reader, Wanted};
use crate::api::Api;
use crate::api::error::{ApiError, Failures, Missing};
use crate::api::params::{Name, Params, filled, natural};
use crate::api::schema;

const MAX_LIMIT: usize = 10_000;
/// Text that one page looks through; a search that finds little in it goes on with the next page.
const MAX_SCANNED_BYTES: u64 = 64 << 20;

/// A page of lines.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LinePage {
    data: Vec<LineItem>,
    /// Whether there may be more.
    has_more: bool,
    /// The `since` of the next page: where it goes on, also while the execution runs.
    next: u64,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogFilter {
    /// From this line on, counted from 1.
    #[serde(default, deserialize_with = "natural")]
    #[param(minimum = 0)]
    since: u64,
    /// The last so many lines, instead of `since`.
    #[serde(default, deserialize_with = "natural")]
    #[param(minimum = 1)]
    tail: Option<u64>,
    /// Of this step alone.
    #[serde(default, deserialize_with = "natural")]
    step: Option<u64>,
    /// Of this stream alone.
    #[param(schema_with = schema::stream)]
    stream: Option<Stream>,
    /// With this text, letters in any case, colours left out.
    #[serde(default, deserialize_with = "filled")]
    #[param(min_length = 1)]
    search: Option<String>,
    /// What becomes of colours.
    #[serde(default)]
    #[param(inline)]
    ansi: Ansi,
    /// Lines on the page.
    #[serde(default = "default_limit")]
    #[param(minimum = 1, maximum = 10000, default = 1000)]
    limit: usize,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct TextFilter {
    /// Of this step alone.
    #[serde(default, deserialize_with = "natural")]
    step: Option<u64>,
    /// Of this stream alone.
    #[param(schema_with = schema::stream)]
    stream: Option<Stream>,
    /// What becomes of colours.
    #[serde(default)]
    #[param(inline)]
    ansi: Ansi,
}

fn default_limit() -> usize {
    1_000
}

/// Lines of an execution, in their order.
#[utoipa::path(get, operation_id = "list_log_lines", path = "/api/v1/executions/{id}/logs", tag = "executions",
    params(("id" = String, Path), LogFilter), responses((status = 200, body = LinePage), Failures, Missing))]
pub(crate) async fn list(
    State(api): State<Api>,
    Name(id): Name,
    Params(filter): Params<LogFilter>,
) -> Result<Json<LinePage>, ApiError> {
    let LogFilter { since, tail, step, stream, search, ansi, limit } = filter;
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::invalid_query(format!("limit: {limit} is not between 1 and {MAX_LIMIT}")));
    }
    if tail == Some(0) {
        return Err(ApiError::invalid_query("tail: 0 is less than 1"));
    }
    api.execution(&id).await?;
    let since = match tail {
        Some(tail) => (last_line(&*api.store, &id).await? + 1).saturating_sub(tail),
        None => since,
    };
    let search = search.map(|text| text.to_lowercase());
    let mut reader = Reader::new(&id, Wanted { step, stream, search }, since);
    let (mut data, mut scanned) = (Vec::new(), 0);
    loop {
        let chunks = reader.chunks(&*api.store).await?;
        if chunks.is_empty() {
            return Ok(Json(LinePage { data, has_more: false, next: reader.next }));
        }
        for chunk in &chunks {
            scanned += chunk.text_bytes;
            let mut is_full = false;
            reader.lines(chunk, |number, line| {
                is_full = data.len() == limit;
                if !is_full {
                    data.push(Reader::item(chunk, number, line, ansi));
                }
                !is_full
            })?;
            if is_full || scanned > MAX_SCANNED_BYTES {
                return Ok(Json(LinePage { data, has_more: true, next: reader.next }));
            }
        }
    }
}

async fn last_line(store: &dyn Store, id: &str) -> tallybook_core::Result<u64> {
    let query = Query::new(1).filter(Condition::Equals("execution", id.into())).sort("first_line", true);
    let last = store.list::<LogChunk>(&query).await?.items.pop();
    Ok(last.map_or(0, |chunk| chunk.first_line + chunk.lines - 1))
}

/// All lines of an execution as one text, byte by byte as they came where colours stay; with `ansi=html`, as a page.
#[utoipa::path(get, operation_id = "get_log_text", path = "/api/v1/executions/{id}/logs/text", tag = "executions",
    params(("id" = String, Path), TextFilter),
    responses((status = 200, content((String = "text/plain"), (String = "text/html"))), Failures, Missing))]
pub(crate) async fn text(
    State(api): State<Api>,
    Name(id): Name,
    Params(TextFilter { step, stream, ansi }): Params<TextFilter>,
) -> Result<Response, ApiError> {
    api.execution(&id).await?;
    let reader = Reader::new(&id, Wanted { step, stream, search: None }, 1);
    let (content_type, extension) = match ansi {
        Ansi::Html => ("text/html; charset=utf-8", "html"),
        Ansi::Raw | Ansi::Strip => ("text/plain; charset=utf-8", "log"),
    };
    let headers = [
        (header::CONTENT_TYPE, content_type.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{id}.{extension}\"")),
        // It shows what a job wrote.
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; sandbox".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    let begin = match ansi {
        Ansi::Html => "<!doctype html><meta charset=\"utf-8\"><pre>",
        Ansi::Raw | Ansi::Strip => "",
    };
    let state = Some((api.store.clone(), reader, begin.as_bytes().to_vec()));
    let body = stream::try_unfold(state, move |state| send(state, ansi));
    Ok((headers, Body::from_stream(body)).into_response())
}

type Sending = Option<(Arc<dyn Store>, Reader, Vec<u8>)>;

/// The next part of the text, and what is left.
async fn send(state: Sending, ansi: Ansi) -> tallybook_core::Result<Option<(Vec<u8>, Sending)>> {
    let Some((store, mut reader, mut bytes)) = state else { return Ok(None) };
    let chunks = reader.chunks(&*store).await?;
    if chunks.is_empty() {
        return Ok((!bytes.is_empty()).then_some((bytes, None)));
    }
    for chunk in &chunks {
        reader.lines(chunk, |_, line| {
            match ansi {
                Ansi::Raw => bytes.extend_from_slice(line.text),
                Ansi::Strip | Ansi::Html => bytes.extend_from_slice(ansi.apply(line.text).as_bytes()),
            }
            if line.end == LineEnd::Newline {
                bytes.push(b'\n');
            }
            true
        })?;
    }
    Ok(Some((bytes, Some((store, reader, Vec::new())))))
}
