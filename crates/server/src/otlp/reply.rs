//! The answer to an export that was taken. The three services' responses have the same fields under the same numbers.

use prost::Message;
use tallybook_core::Signal;
use tallybook_writer::Observed;

#[derive(Message)]
struct Response {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// The response as protobuf.
pub(crate) fn protobuf(observed: &Observed) -> Vec<u8> {
    let partial_success = partial(observed).map(|(rejected, message)| PartialSuccess {
        rejected: i64::try_from(rejected).unwrap_or(i64::MAX),
        error_message: message.to_owned(),
    });
    Response { partial_success }.encode_to_vec()
}

/// The response as JSON.
pub(crate) fn json(signal: Signal, observed: &Observed) -> Vec<u8> {
    let Some((rejected, message)) = partial(observed) else {
        return b"{}".to_vec();
    };
    let field = match signal {
        Signal::Log => "rejectedLogRecords",
        Signal::Span => "rejectedSpans",
        Signal::Metric => "rejectedDataPoints",
    };
    let response = serde_json::json!({ "partialSuccess": { field: rejected.to_string(), "errorMessage": message } });
    response.to_string().into_bytes()
}

/// What was rejected and why, or a warning about what was taken.
fn partial(observed: &Observed) -> Option<(u64, &str)> {
    let message = observed.message.as_deref().unwrap_or_default();
    (observed.rejected > 0 || !message.is_empty()).then_some((observed.rejected, message))
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;

    use super::*;

    #[test]
    fn a_whole_success_is_empty_and_a_partial_one_says_what_and_why() {
        let whole = Observed { records: 3, rejected: 0, message: None };
        assert!(protobuf(&whole).is_empty());
        assert_eq!(json(Signal::Span, &whole), b"{}");

        let part = Observed { records: 3, rejected: 2, message: Some("no name".to_owned()) };
        let read = ExportTraceServiceResponse::decode(&*protobuf(&part)).unwrap().partial_success.unwrap();
        assert_eq!((read.rejected_spans, &*read.error_message), (2, "no name"));
        let expected = br#"{"partialSuccess":{"errorMessage":"no name","rejectedSpans":"2"}}"#;
        assert_eq!(json(Signal::Span, &part), expected);

        let warning = Observed { records: 3, rejected: 0, message: Some("clock is off".to_owned()) };
        let read = ExportTraceServiceResponse::decode(&*protobuf(&warning)).unwrap().partial_success.unwrap();
        assert_eq!((read.rejected_spans, &*read.error_message), (0, "clock is off"));
    }
}
