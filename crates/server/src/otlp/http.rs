//! OTLP/HTTP: `/v1/logs`, `/v1/traces` and `/v1/metrics`, in protobuf or JSON.

use ::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodRouter, post};
use tallybook_core::Signal;
use tallybook_writer::Observed;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::failure::{Failure, FailureKind};
use super::inflate::{ENCODINGS, Encoding};
use super::receiver::{Export, Format, Receiver, content_length};
use super::reply;
use crate::auth::is_authorized;
use crate::counters::Transport;

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The addresses of OTLP/HTTP. Pages of `cors_origins` may send from a browser.
pub(crate) fn router(receiver: Receiver, cors_origins: &[String]) -> Router {
    let router = Router::new()
        .route("/v1/logs", exports_of(Signal::Log))
        .route("/v1/traces", exports_of(Signal::Span))
        .route("/v1/metrics", exports_of(Signal::Metric))
        .fallback(no_such_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(receiver.clone(), authorize))
        .layer(CatchPanicLayer::custom(|_| {
            let failure = Failure::new(FailureKind::Internal, "a defect of this server; its log says more");
            answer_failure(Format::Json, &failure)
        }))
        .with_state(receiver);
    let origins: Vec<HeaderValue> = cors_origins.iter().filter_map(|origin| origin.parse().ok()).collect();
    if origins.is_empty() {
        return router;
    }
    router.layer(
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::POST])
            .allow_headers(AllowHeaders::mirror_request()),
    )
}

/// The one handler, for a signal.
fn exports_of(signal: Signal) -> MethodRouter<Receiver> {
    post(async move |State(receiver): State<Receiver>, request: Request| export(&receiver, signal, request).await)
}

async fn export(receiver: &Receiver, signal: Signal, request: Request) -> Response {
    let format = format_of(request.headers());
    let transport = if format == Some(Format::Json) { Transport::HttpJson } else { Transport::HttpProtobuf };
    let result = match format {
        Some(format) => receive(receiver, transport, signal, format, request).await,
        None => Err(Failure::new(
            FailureKind::UnsupportedMedia,
            "the content type is neither application/x-protobuf nor application/json",
        )),
    };
    receiver.counters().answered(transport, signal, result.as_ref().map_or_else(Failure::code, |_| tonic::Code::Ok));
    match result {
        Ok(observed) => answer(format.unwrap_or(Format::Json), signal, &observed),
        Err(failure) => answer_failure(format.unwrap_or(Format::Json), &failure),
    }
}

async fn receive(
    receiver: &Receiver,
    transport: Transport,
    signal: Signal,
    format: Format,
    request: Request,
) -> Result<Observed, Failure> {
    let encoding = Encoding::parse(request.headers().get(header::CONTENT_ENCODING))?;
    let length = content_length(request.headers());
    let body = receiver.collect(request.into_body(), |_| length, receiver.max_request_bytes()).await?;
    receiver.receive(Export { transport, signal, format, encoding, body }).await
}

fn format_of(headers: &HeaderMap) -> Option<Format> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let is = |known: &str| media_type.eq_ignore_ascii_case(known);
    if is("application/x-protobuf") || is("application/protobuf") {
        Some(Format::Protobuf)
    } else if is("application/json") {
        Some(Format::Json)
    } else {
        None
    }
}

fn answer(format: Format, signal: Signal, observed: &Observed) -> Response {
    match format {
        Format::Protobuf => response(StatusCode::OK, PROTOBUF, reply::protobuf(observed)),
        Format::Json => response(StatusCode::OK, JSON, reply::json(signal, observed)),
    }
}

fn answer_failure(format: Format, failure: &Failure) -> Response {
    let mut response = match format {
        Format::Protobuf => response(failure.http_status(), PROTOBUF, failure.protobuf()),
        Format::Json => response(failure.http_status(), JSON, failure.json()),
    };
    let headers = response.headers_mut();
    if let Some(seconds) = failure.retry_after_seconds() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    match failure.kind() {
        FailureKind::UnsupportedEncoding => {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(ENCODINGS));
        }
        FailureKind::Unauthorized => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        _ => {}
    }
    response
}

fn response(status: StatusCode, content_type: HeaderValue, body: Vec<u8>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

async fn authorize(State(receiver): State<Receiver>, request: Request, next: Next) -> Response {
    if is_authorized(receiver.token(), request.headers()) {
        return next.run(request).await;
    }
    answer_failure(format_of(request.headers()).unwrap_or(Format::Json), &Failure::unauthorized())
}

async fn no_such_path(request: Request) -> Response {
    let failure = Failure::new(FailureKind::NoSuchPath, "there are /v1/logs, /v1/traces and /v1/metrics");
    answer_failure(format_of(request.headers()).unwrap_or(Format::Json), &failure)
}

async fn wrong_method(request: Request) -> Response {
    let failure = Failure::new(FailureKind::WrongMethod, "telemetry is sent with POST");
    answer_failure(format_of(request.headers()).unwrap_or(Format::Json), &failure)
}
