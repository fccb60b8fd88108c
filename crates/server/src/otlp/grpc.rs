//! OTLP/gRPC. The three export methods are served from the bytes of their frames: no message objects, one collection and
//! one decompression shared with OTLP/HTTP, limits before and after it, and codes by which clients know whether to send it
//! again (a codec of tonic decompresses with one limit for both, and answers OUT_OF_RANGE, which OTLP clients retry).
//! Health and reflection are tonic's.

use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use opentelemetry_proto::DESCRIPTORS;
use tallybook_core::Signal;
use tallybook_writer::Observed;
use tonic::Code;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower_http::catch_panic::CatchPanicLayer;

use super::failure::{Failure, FailureKind};
use super::inflate::{ENCODINGS, Encoding};
use super::receiver::{Export, Format, Receiver};
use super::reply;
use crate::auth::is_authorized;
use crate::counters::Transport;

/// The compressed flag and the length of a message.
const PREFIX_BYTES: usize = 5;
const SERVICES: [&str; 3] = [
    "opentelemetry.proto.collector.logs.v1.LogsService",
    "opentelemetry.proto.collector.trace.v1.TraceService",
    "opentelemetry.proto.collector.metrics.v1.MetricsService",
];
const HEALTH_PATH: &str = "/grpc.health.v1.Health/";
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// The gRPC port's router, and the means to say that it closes.
pub(crate) struct Grpc {
    pub(crate) router: Router,
    health: HealthReporter,
}

impl Grpc {
    pub(crate) async fn new(receiver: Receiver) -> Self {
        let (health, health_service) = tonic_health::server::health_reporter();
        for service in SERVICES {
            health.set_service_status(service, ServingStatus::Serving).await;
        }
        let mut reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        for service in SERVICES.into_iter().chain(["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"]) {
            reflection = reflection.with_service_name(service);
        }
        let reflection = reflection.build_v1().expect("the descriptors are part of the program");
        let router = Routes::new(health_service)
            .add_service(reflection)
            .into_axum_router()
            .merge(exports(receiver.clone()))
            .layer(middleware::from_fn_with_state(receiver, authorize))
            .layer(CatchPanicLayer::custom(|_| {
                failed(&Failure::new(FailureKind::Internal, "a defect of this server; its log says more"))
            }));
        Self { router, health }
    }

    /// Tells those that ask for its health that it closes.
    pub(crate) async fn closing(health: &HealthReporter) {
        for service in SERVICES.into_iter().chain([""]) {
            health.set_service_status(service, ServingStatus::NotServing).await;
        }
    }

    pub(crate) fn health(&self) -> HealthReporter {
        self.health.clone()
    }
}

fn exports(receiver: Receiver) -> Router {
    let path = |service: &str| format!("/{service}/Export");
    let [logs_path, traces_path, metrics_path] = SERVICES.map(path);
    Router::new()
        .route(&logs_path, exports_of(Signal::Log))
        .route(&traces_path, exports_of(Signal::Span))
        .route(&metrics_path, exports_of(Signal::Metric))
        .with_state(receiver)
}

/// The one handler, for a signal.
fn exports_of(signal: Signal) -> MethodRouter<Receiver> {
    post(async move |State(receiver): State<Receiver>, request: Request| export(&receiver, signal, request).await)
}

async fn export(receiver: &Receiver, signal: Signal, request: Request) -> Response {
    if !is_grpc(request.headers()) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let result = receive(receiver, signal, request).await;
    receiver.counters().answered(Transport::Grpc, signal, result.as_ref().map_or_else(Failure::code, |_| Code::Ok));
    match result {
        Ok(observed) => succeeded(&observed),
        Err(failure) => failed(&failure),
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let rest = content_type.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest, [] | [b'+' | b';', ..]))
}

async fn receive(receiver: &Receiver, signal: Signal, request: Request) -> Result<Observed, Failure> {
    let encoding = Encoding::parse(request.headers().get(GRPC_ENCODING))?;
    let announced = |bytes: &[u8]| message_len(bytes).map(|len| len + PREFIX_BYTES);
    let max_bytes = receiver.max_request_bytes().saturating_add(PREFIX_BYTES);
    let mut body = receiver.collect(request.into_body(), announced, max_bytes).await?;
    let encoding = match body.as_ref() {
        [0, ..] => Encoding::Identity,
        [1, ..] if encoding != Encoding::Identity => encoding,
        [1, ..] => return Err(undecodable("the message is marked as compressed, and grpc-encoding does not say how")),
        [] => return Err(undecodable("the request has no message")),
        _ => return Err(undecodable("the message has an unknown compressed flag")),
    };
    match message_len(body.as_ref()).map(|len| (body.len() - PREFIX_BYTES).cmp(&len)) {
        Some(std::cmp::Ordering::Equal) => {}
        Some(std::cmp::Ordering::Greater) => return Err(undecodable("the request has more than one message")),
        _ => return Err(undecodable("the message is cut short")),
    }
    body.skip(PREFIX_BYTES);
    receiver.receive(Export { transport: Transport::Grpc, signal, format: Format::Protobuf, encoding, body }).await
}

/// The length of the message behind the prefix, once the prefix is there.
fn message_len(bytes: &[u8]) -> Option<usize> {
    let (_, rest) = bytes.split_first()?;
    rest.first_chunk().map(|len| u32::from_be_bytes(*len) as usize)
}

fn undecodable(message: &str) -> Failure {
    Failure::new(FailureKind::Undecodable, message)
}

fn succeeded(observed: &Observed) -> Response {
    let reply = reply::protobuf(observed);
    let mut frame = Vec::with_capacity(PREFIX_BYTES + reply.len());
    frame.push(0);
    frame.extend_from_slice(&(reply.len() as u32).to_be_bytes());
    frame.extend_from_slice(&reply);
    let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
    let body = Full::new(Bytes::from(frame)).with_trailers(async { Some(Ok(trailers)) });
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    response
}

fn failed(failure: &Failure) -> Response {
    let mut response = failure.grpc_status().into_http::<Body>();
    if failure.kind() == FailureKind::UnsupportedEncoding {
        response.headers_mut().insert(GRPC_ACCEPT_ENCODING, HeaderValue::from_static(ENCODINGS));
    }
    response
}

/// Health may be asked by anybody: probes have no token, and learn nothing.
async fn authorize(State(receiver): State<Receiver>, request: Request, next: Next) -> Response {
    if request.uri().path().starts_with(HEALTH_PATH) || is_authorized(receiver.token(), request.headers()) {
        return next.run(request).await;
    }
    failed(&Failure::unauthorized())
}
