//! Why an export was not taken, as gRPC and as HTTP say it.

use std::time::Duration;

use ::http::StatusCode;
use prost::Message;
use tallybook_writer::Refused;
use tonic::Code;
use tonic_types::pb;

use super::buffer::OverBudget;

/// The type name of a `google.rpc.RetryInfo` in a `google.protobuf.Any`.
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";
/// What a client is told to wait where nobody knows better.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why an export was not taken.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: FailureKind,
    message: String,
    retry_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    Undecodable,
    TooLarge,
    UnsupportedMedia,
    UnsupportedEncoding,
    NoSuchPath,
    WrongMethod,
    Unauthorized,
    TooSlow,
    Full,
    Unavailable,
    Internal,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        let retry_after = match kind {
            FailureKind::Full | FailureKind::Unavailable => Some(RETRY_AFTER),
            _ => None,
        };
        Self { kind, message: message.into(), retry_after }
    }

    pub(crate) fn unauthorized() -> Self {
        let message = "this server needs a token: send `authorization: Bearer <API_TOKEN>`";
        Self::new(FailureKind::Unauthorized, message)
    }

    pub(crate) fn kind(&self) -> FailureKind {
        self.kind
    }

    /// For people.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn http_status(&self) -> StatusCode {
        match self.kind {
            FailureKind::Undecodable => StatusCode::BAD_REQUEST,
            FailureKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            FailureKind::UnsupportedMedia | FailureKind::UnsupportedEncoding => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            FailureKind::NoSuchPath => StatusCode::NOT_FOUND,
            FailureKind::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            FailureKind::Unauthorized => StatusCode::UNAUTHORIZED,
            FailureKind::TooSlow => StatusCode::REQUEST_TIMEOUT,
            FailureKind::Full => StatusCode::TOO_MANY_REQUESTS,
            FailureKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            FailureKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The code; clients retry those that OTLP calls retryable, and RESOURCE_EXHAUSTED only with a RetryInfo.
    pub(crate) fn code(&self) -> Code {
        match self.kind {
            FailureKind::Undecodable => Code::InvalidArgument,
            FailureKind::TooLarge | FailureKind::Full => Code::ResourceExhausted,
            FailureKind::UnsupportedMedia
            | FailureKind::UnsupportedEncoding
            | FailureKind::NoSuchPath
            | FailureKind::WrongMethod => Code::Unimplemented,
            FailureKind::Unauthorized => Code::Unauthenticated,
            FailureKind::TooSlow => Code::DeadlineExceeded,
            FailureKind::Unavailable => Code::Unavailable,
            FailureKind::Internal => Code::Internal,
        }
    }

    /// Whole seconds to wait, where sending it again helps.
    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after.map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
    }

    pub(crate) fn grpc_status(&self) -> tonic::Status {
        tonic::Status::with_details(self.code(), self.message.clone(), self.protobuf().into())
    }

    /// A `google.rpc.Status` as protobuf.
    pub(crate) fn protobuf(&self) -> Vec<u8> {
        let retry_info = |seconds: u64| {
            let retry_delay = prost_types::Duration { seconds: seconds as i64, nanos: 0 };
            let value = pb::RetryInfo { retry_delay: Some(retry_delay) }.encode_to_vec();
            prost_types::Any { type_url: RETRY_INFO.to_owned(), value }
        };
        let details = self.retry_after_seconds().map(retry_info).into_iter().collect();
        pb::Status { code: self.code().into(), message: self.message.clone(), details }.encode_to_vec()
    }

    /// A `google.rpc.Status` as JSON.
    pub(crate) fn json(&self) -> Vec<u8> {
        let retry_info = |seconds| serde_json::json!({ "@type": RETRY_INFO, "retryDelay": format!("{seconds}s") });
        let details: Vec<_> = self.retry_after_seconds().map(retry_info).into_iter().collect();
        let code: i32 = self.code().into();
        serde_json::json!({ "code": code, "message": self.message, "details": details }).to_string().into_bytes()
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let message = refused.to_string();
        let (kind, retry_after) = match refused {
            Refused::Decode(_) => (FailureKind::Undecodable, None),
            Refused::Full { retry_after } => (FailureKind::Full, Some(retry_after)),
            Refused::Unavailable { retry_after, .. } => (FailureKind::Unavailable, Some(retry_after)),
            // It may count twice when it is sent again, and not at all when it is not.
            Refused::Unacknowledged { .. } | Refused::Stopping => (FailureKind::Unavailable, Some(RETRY_AFTER)),
        };
        Self { kind, message, retry_after }
    }
}

impl From<OverBudget> for Failure {
    fn from(_: OverBudget) -> Self {
        Self::new(FailureKind::Full, "too many bytes are being received at once; send it again")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_succeed_later_tells_when_to_come_back() {
        let full = Failure::from(Refused::Full { retry_after: Duration::from_millis(1500) });
        assert_eq!((full.http_status(), full.code()), (StatusCode::TOO_MANY_REQUESTS, Code::ResourceExhausted));
        assert_eq!(full.retry_after_seconds(), Some(2));
        let status = pb::Status::decode(&*full.protobuf()).unwrap();
        let retry_info = pb::RetryInfo::decode(&*status.details[0].value).unwrap();
        assert_eq!(retry_info.retry_delay.unwrap().seconds, 2);
        let json: serde_json::Value = serde_json::from_slice(&full.json()).unwrap();
        assert_eq!(json["details"][0]["retryDelay"], "2s");

        let large = Failure::new(FailureKind::TooLarge, "too large");
        assert_eq!(large.code(), Code::ResourceExhausted);
        assert!(pb::Status::decode(&*large.protobuf()).unwrap().details.is_empty());
    }
}
