//! The body of a request that is a small JSON object, read strictly.

use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Json, Request};
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// A small JSON object: unknown fields are refused where its type refuses them.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match Json::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(JsonRejection::MissingJsonContentType(_)) => {
                Err(ApiError::unsupported_media_type("send the object with `Content-Type: application/json`"))
            }
            Err(JsonRejection::BytesRejection(rejection)) => {
                Err(ApiError::unread_body(rejection.status(), rejection.body_text()))
            }
            Err(rejection) => {
                let text = rejection.body_text();
                let reason = text.rsplit_once("target type: ").map_or(text.as_str(), |(_, reason)| reason);
                Err(ApiError::invalid_body(reason))
            }
        }
    }
}
