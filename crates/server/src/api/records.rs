//! Records that a request brings: read in its format, and put aside where they cannot be.

use axum::extract::Request;
use axum::http::{HeaderMap, header};
use serde::Serialize;
use tallybook_core::{DeadLetter, Family, Timestamp};
use tallybook_formats::{BadRecord, Format, Read, Readable};
use utoipa::ToSchema;

use super::Api;
use super::error::ApiError;

/// Mistakes that are told in an answer; the others are counted, and all are dead letters.
const ERRORS_TOLD: usize = 100;

/// A record that cannot be stored.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LineError {
    /// Its line, or its place in the array, from 1.
    line: u64,
    error: String,
}

/// The format that a request names. It must name one of `known`: what a web page may send without being asked for its
/// leave has another type, or none.
pub(crate) fn format_of(headers: &HeaderMap, known: &[Format]) -> Result<Format, ApiError> {
    let named = headers.get(header::CONTENT_TYPE).and_then(|text| text.to_str().ok());
    let format = named.and_then(Format::from_content_type).filter(|format| known.contains(format));
    format.ok_or_else(|| {
        let types: Vec<&str> = known.iter().map(|format| format.content_type()).collect();
        ApiError::unsupported_media_type(format!("send the records with a Content-Type of {}", types.join(", ")))
    })
}

impl Api {
    /// Reads the records of a whole request.
    pub(super) async fn read<R: Readable + Send + 'static>(
        &self,
        request: Request,
        format: Format,
        received: Timestamp,
    ) -> Result<Read<R>, ApiError> {
        let body = self.receiver.body(request).await?;
        let read = tokio::task::spawn_blocking(move || R::read(format, body.as_ref(), received)).await;
        read.map_err(|_| ApiError::internal())?.map_err(|error| ApiError::invalid_body(error.to_string()))
    }

    /// Makes dead letters of records that could not be read, and adds what is to be told of them to `told`. In a request that
    /// has a `key`, the same record becomes the same letter, however often it is sent.
    pub(super) async fn put_aside(
        &self,
        family: Family,
        bad: Vec<BadRecord>,
        key: Option<&str>,
        told: &mut Vec<LineError>,
    ) -> Result<(), ApiError> {
        if bad.is_empty() {
            return Ok(());
        }
        let letter = |BadRecord { line, error, text }: &BadRecord| match key {
            Some(key) => {
                let place = format!("line {line} of the request `{key}`");
                DeadLetter::unread_at(family.as_str(), &place, error, text)
            }
            None => DeadLetter::unread(family.as_str(), *line, error, text),
        };
        self.writer.reject(family, bad.iter().map(letter).collect()).await?;
        let room = ERRORS_TOLD.saturating_sub(told.len());
        told.extend(bad.into_iter().take(room).map(|bad| LineError { line: bad.line, error: bad.error }));
        Ok(())
    }
}
