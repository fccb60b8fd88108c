//! What the server counts of itself, and how Prometheus reads it. The set of series is fixed: names that clients choose are
//! never labels.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tallybook_core::Signal;
use tonic::Code;

/// How telemetry came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Transport {
    Grpc,
    HttpProtobuf,
    HttpJson,
}

impl EncodeLabelValue for Transport {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), std::fmt::Error> {
        let name = match self {
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http/protobuf",
            Self::HttpJson => "http/json",
        };
        name.encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Way {
    protocol: Transport,
    signal: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    protocol: Transport,
    signal: &'static str,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApiAnswer {
    status: u16,
}

/// The counters. Cheap to clone; all clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    requests: Family<Answer, Counter>,
    received_bytes: Family<Way, Counter>,
    decompressed_bytes: Family<Way, Counter>,
    api_requests: Family<ApiAnswer, Counter>,
}

impl Counters {
    pub(crate) fn received(&self, protocol: Transport, signal: Signal, bytes: usize) {
        self.received_bytes.get_or_create(&Way { protocol, signal: signal.as_str() }).inc_by(bytes as u64);
    }

    pub(crate) fn decompressed(&self, protocol: Transport, signal: Signal, bytes: usize) {
        self.decompressed_bytes.get_or_create(&Way { protocol, signal: signal.as_str() }).inc_by(bytes as u64);
    }

    pub(crate) fn answered(&self, protocol: Transport, signal: Signal, code: Code) {
        let code = code_name(code);
        self.requests.get_or_create(&Answer { protocol, signal: signal.as_str(), code }).inc();
    }

    pub(crate) fn api_answered(&self, status: u16) {
        self.api_requests.get_or_create(&ApiAnswer { status }).inc();
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        let mut family = |name: &str, help: &str, family: &Family<Way, Counter>| {
            registry.register(name, help, family.clone());
        };
        family("otlp_received_bytes", "Bytes of OTLP requests as they arrived", &self.received_bytes);
        family("otlp_decompressed_bytes", "Bytes of OTLP requests once decompressed", &self.decompressed_bytes);
        registry.register("otlp_requests", "OTLP requests by the code they were answered with", self.requests.clone());
        registry.register(
            "api_requests",
            "API requests by the status they were answered with",
            self.api_requests.clone(),
        );
    }
}

/// The name of a code in the gRPC specification; those that are never answered share one.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::Unauthenticated => "UNAUTHENTICATED",
        _ => "OTHER",
    }
}
