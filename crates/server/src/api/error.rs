//! The one error form of the API: a status and `{error: {code, message}}`.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tallybook_core::ErrorKind;
use utoipa::{IntoResponses, ToSchema};

/// How long a client should wait before it asks a store again that is unavailable.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a request was not answered.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

/// Every answer that is not a success.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Debug, Serialize, ToSchema)]
struct ErrorDetail {
    /// For programs; one per kind of error.
    #[schema(example = "invalid_query")]
    code: &'static str,
    /// For people.
    message: String,
}

impl ApiError {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(crate) fn invalid_query(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_query", message)
    }

    pub(crate) fn invalid_path(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_path", message)
    }

    pub(crate) fn unauthorized() -> Self {
        let message = "this server needs a token: send `Authorization: Bearer <API_TOKEN>`";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub(crate) fn forbidden_host() -> Self {
        let message = "the Host header names another host than this one; use localhost, or set API_TOKEN to be reached \
                       under other names";
        Self::new(StatusCode::FORBIDDEN, "forbidden_host", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "this address answers GET only";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    pub(crate) fn body_too_large(limit_bytes: u64) -> Self {
        let message = format!("the request body is larger than {limit_bytes} bytes; no address here needs one");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    pub(crate) fn internal() -> Self {
        let message = "a defect of this server; its log says more";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }
}

impl From<tallybook_core::Error> for ApiError {
    fn from(error: tallybook_core::Error) -> Self {
        match error.kind() {
            ErrorKind::Invalid => Self::invalid_query(error.to_string()),
            ErrorKind::Unavailable => Self::unavailable(error.to_string()),
            ErrorKind::Corrupt | ErrorKind::Unsupported | ErrorKind::Internal => {
                tracing::error!(%error, kind = ?error.kind(), "a read failed");
                Self::internal()
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody { error: ErrorDetail { code: self.code, message: self.message } };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER.as_secs()));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}

/// What any address may answer instead of a success.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes answers to the OpenAPI document")]
pub(crate) enum Failures {
    /// A parameter is unknown, given twice or has a value that cannot be.
    #[response(status = 400)]
    InvalidQuery(ErrorBody),
    /// The token is missing or wrong.
    #[response(status = 401)]
    Unauthorized(ErrorBody),
    /// The Host header names a host that this server is not known by.
    #[response(status = 403)]
    ForbiddenHost(ErrorBody),
    /// The address exists and answers GET only.
    #[response(status = 405)]
    MethodNotAllowed(ErrorBody),
    /// The request carries a body, and a large one.
    #[response(status = 413)]
    BodyTooLarge(ErrorBody),
    /// A defect of the server.
    #[response(status = 500)]
    Internal(ErrorBody),
    /// The store cannot be reached; try again after the seconds in Retry-After.
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

/// What an address that names one thing may answer besides.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes answers to the OpenAPI document")]
pub(crate) enum Missing {
    /// There is no such thing.
    #[response(status = 404)]
    NotFound(ErrorBody),
}
