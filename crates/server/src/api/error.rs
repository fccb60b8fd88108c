//! The one error form of the API: a status and `{error: {code, message}}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tallybook_core::ErrorKind;
use tallybook_writer::Refused;
use utoipa::{IntoResponses, ToSchema};

use crate::otlp::{Failure, FailureKind};

/// How long a client should wait before it asks a store again that is unavailable.
const RETRY_AFTER_SECONDS: u64 = 1;

/// Why a request was not answered.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after: Option<u64>,
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
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER_SECONDS);
        Self { status, code, message: message.into(), retry_after }
    }

    /// For people.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn invalid_query(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_query", message)
    }

    pub(crate) fn invalid_path(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_path", message)
    }

    pub(crate) fn invalid_body(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_body", message)
    }

    /// A body that did not come whole, with the status that says why.
    pub(crate) fn unread_body(status: StatusCode, message: impl Into<String>) -> Self {
        let code = if status == StatusCode::PAYLOAD_TOO_LARGE { "body_too_large" } else { "invalid_body" };
        Self::new(status, code, message)
    }

    pub(crate) fn unsupported_media_type(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message)
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

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "this address does not answer this method; the Allow header says which it does";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    pub(crate) fn body_too_large(limit_bytes: u64) -> Self {
        let message = format!("the request body is larger than {limit_bytes} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    pub(crate) fn too_many(message: impl Into<String>) -> Self {
        let retry_after = Some(RETRY_AFTER_SECONDS);
        Self { retry_after, ..Self::new(StatusCode::TOO_MANY_REQUESTS, "full", message) }
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
            kind => {
                tracing::error!(%error, ?kind, "a read failed");
                // What can be done about it has to be known to whoever asks.
                if error.needs_mending() {
                    Self { message: error.to_string(), ..Self::internal() }
                } else {
                    Self::internal()
                }
            }
        }
    }
}

impl From<tallybook_sqlite::Error> for ApiError {
    fn from(error: tallybook_sqlite::Error) -> Self {
        use tallybook_sqlite::ErrorKind as Kind;
        match error.kind() {
            Kind::Statement => Self::new(StatusCode::BAD_REQUEST, "invalid_statement", error.to_string()),
            Kind::TooLarge => Self::new(StatusCode::BAD_REQUEST, "answer_too_large", error.to_string()),
            Kind::Denied | Kind::ReadOnly => Self::forbidden(error.to_string()),
            Kind::TimeLimit => Self::new(StatusCode::REQUEST_TIMEOUT, "time_limit", error.to_string()),
            Kind::Constraint | Kind::Aborted => Self::conflict(error.to_string()),
            Kind::Busy | Kind::Full | Kind::Disk | Kind::Cancelled | Kind::Closed => {
                Self::unavailable(error.to_string())
            }
            Kind::Corrupt | Kind::Internal => {
                tracing::error!(%error, kind = error.kind().as_str(), "a database failed");
                Self::internal()
            }
        }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let code = match failure.kind() {
            FailureKind::Undecodable => "invalid_body",
            FailureKind::TooLarge => "body_too_large",
            FailureKind::UnsupportedMedia => "unsupported_media_type",
            FailureKind::UnsupportedEncoding => "unsupported_encoding",
            FailureKind::NoSuchPath => "not_found",
            FailureKind::WrongMethod => "method_not_allowed",
            FailureKind::Unauthorized => "unauthorized",
            FailureKind::TooSlow => "too_slow",
            FailureKind::Full => "full",
            FailureKind::Unavailable => "unavailable",
            FailureKind::Internal => "internal",
        };
        let retry_after = failure.retry_after_seconds();
        Self { retry_after, ..Self::new(failure.http_status(), code, failure.message()) }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        Failure::from(refused).into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody { error: ErrorDetail { code: self.code, message: self.message } };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
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
    /// The address exists and answers other methods.
    #[response(status = 405)]
    MethodNotAllowed(ErrorBody),
    /// The request carries a body that is too large.
    #[response(status = 413)]
    BodyTooLarge(ErrorBody),
    /// A defect of the server.
    #[response(status = 500)]
    Internal(ErrorBody),
    /// The store cannot be reached; try again after the seconds in Retry-After.
    #[response(status = 503)]
    Unavailable(ErrorBody),
}

/// What an address that takes a body may answer besides.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes answers to the OpenAPI document")]
pub(crate) enum BodyFailures {
    /// The body took too long to arrive.
    #[response(status = 408)]
    TooSlow(ErrorBody),
    /// The content type or the content encoding is none of those that are read here.
    #[response(status = 415)]
    UnsupportedMedia(ErrorBody),
    /// There is no room at present; send it again after the seconds in Retry-After.
    #[response(status = 429)]
    Full(ErrorBody),
}

/// What an address that runs SQL may answer besides.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes answers to the OpenAPI document")]
pub(crate) enum SqlFailures {
    /// The store is not SQLite, or there is no such database.
    #[response(status = 404)]
    NotFound(ErrorBody),
    /// The statement took longer than it may.
    #[response(status = 408)]
    TimeLimit(ErrorBody),
    /// A constraint of the schema refused a row.
    #[response(status = 409)]
    Constraint(ErrorBody),
}

/// What an address that names one thing may answer besides.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it only describes answers to the OpenAPI document")]
pub(crate) enum Missing {
    /// There is no such thing.
    #[response(status = 404)]
    NotFound(ErrorBody),
}
