//! Files that are sent while they are read.

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use tallybook_core::Result;
use tallybook_formats::{Encoder, Format, Writable};
use utoipa::ToSchema;

/// The format of a file.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FileFormat {
    #[default]
    Csv,
    Json,
    Ndjson,
    Parquet,
}

impl From<FileFormat> for Format {
    fn from(format: FileFormat) -> Self {
        match format {
            FileFormat::Csv => Self::Csv,
            FileFormat::Json => Self::Json,
            FileFormat::Ndjson => Self::Ndjson,
            FileFormat::Parquet => Self::Parquet,
        }
    }
}

/// What a file holds, page by page.
pub(crate) trait Pages: Send + 'static {
    type Record: Writable + Send + 'static;

    /// The next records; none at the end.
    fn next(&mut self) -> impl Future<Output = Result<Vec<Self::Record>>> + Send;
}

struct File<P: Pages> {
    pages: P,
    encoder: Encoder<P::Record>,
    page: Vec<P::Record>,
}

/// The file `name` as an answer. A file that is cut off ends with a broken connection, never as if it were whole.
///
/// # Errors
/// Of the first page: a store that is away is an error, not an empty file.
pub(crate) async fn download<P: Pages>(name: &str, format: FileFormat, mut pages: P) -> Result<Response> {
    let format = Format::from(format);
    let page = pages.next().await?;
    let headers = [
        (header::CONTENT_TYPE, format.content_type().to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.{}\"", format.extension())),
    ];
    let file = File { pages, encoder: Encoder::new(format), page };
    Ok((headers, Body::from_stream(stream::try_unfold(Some(file), send))).into_response())
}

/// The bytes of the page that was read, and the file with the next one; `None` once the last bytes are out.
async fn send<P: Pages>(file: Option<File<P>>) -> Result<Option<(Vec<u8>, Option<File<P>>)>> {
    let Some(mut file) = file else { return Ok(None) };
    if file.page.is_empty() {
        return Ok(Some((file.encoder.finish(), None)));
    }
    let bytes = file.encoder.push(&file.page);
    file.page = file.pages.next().await?;
    Ok(Some((bytes, Some(file))))
}
