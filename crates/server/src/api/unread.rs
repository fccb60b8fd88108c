//! `POST /dead-letters`: what an importer could not read is kept, with where it stood and why.

use axum::Json;
use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use tallybook_core::{DeadLetter, Family};
use tallybook_formats::{BadRecord, Format};
use utoipa::ToSchema;

use super::Api;
use super::error::{ApiError, BodyFailures, Failures};
use super::params::{NoParams, Params};
use super::records::format_of;

/// What a request to `/api/v1/dead-letters` may bring at the most.
pub const MAX_DEAD_LETTERS: usize = 1_000;
const MAX_TEXT_BYTES: usize = BadRecord::MAX_TEXT_BYTES;

/// Input that is no record.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unread {
    /// What it was meant to be.
    #[schema(inline)]
    family: UnreadFamily,
    /// Where it stood, such as `feed.csv:17`.
    #[schema(max_length = 1000)]
    place: String,
    /// What is wrong with it.
    #[schema(max_length = 1000)]
    error: String,
    /// The input.
    #[schema(max_length = 1000)]
    text: String,
}

/// A family whose records may come from files.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum UnreadFamily {
    Ping,
    Tick,
}

/// What was kept.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Kept {
    kept: u64,
}

/// Keeps input that a program could not read before it sent the rest of it here, as dead letters: at most 1,000 at a time, each
/// with texts of at most 1,000 bytes. Of the same input at the same place only one is kept, however often it is sent. They
/// count as rejected.
#[utoipa::path(
    post, operation_id = "post_dead_letters", path = "/api/v1/dead-letters", tag = "server", request_body = Vec<Unread>,
    responses((status = 200, description = "They are kept", body = Kept), BodyFailures, Failures)
)]
pub(crate) async fn post(
    State(api): State<Api>,
    Params(NoParams {}): Params<NoParams>,
    request: Request,
) -> Result<Json<Kept>, ApiError> {
    format_of(request.headers(), &[Format::Json])?;
    let body = api.receiver.body(request).await?;
    let unread: Vec<Unread> =
        serde_json::from_slice(body.as_ref()).map_err(|error| ApiError::invalid_body(error.to_string()))?;
    if unread.len() > MAX_DEAD_LETTERS {
        return Err(ApiError::invalid_body(format!("{} are more than {MAX_DEAD_LETTERS} at a time", unread.len())));
    }
    let too_long =
        |unread: &Unread| [&unread.place, &unread.error, &unread.text].iter().any(|text| text.len() > MAX_TEXT_BYTES);
    if unread.iter().any(too_long) {
        return Err(ApiError::invalid_body(format!("a text is longer than {MAX_TEXT_BYTES} bytes")));
    }
    let kept = unread.len() as u64;
    for family in [Family::Ping, Family::Tick] {
        let of_family = unread.iter().filter(|unread| Family::from(unread.family) == family);
        let letter =
            |unread: &Unread| DeadLetter::unread_at(family.as_str(), &unread.place, &unread.error, &unread.text);
        api.writer.reject(family, of_family.map(letter).collect()).await?;
    }
    Ok(Json(Kept { kept }))
}

impl From<UnreadFamily> for Family {
    fn from(family: UnreadFamily) -> Self {
        match family {
            UnreadFamily::Ping => Self::Ping,
            UnreadFamily::Tick => Self::Tick,
        }
    }
}
