//! OTLP/HTTP.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message as _;
use reqwest::Response;
use serde_json::{Value, json};
use tallybook_core::Signal;
use tallybook_server::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic_types::pb;

use crate::export::{self, ENCODINGS, JSON, PROTOBUF, compress};
use crate::running::{PATIENCE, Running, Setup};

async fn post(server: &Running, path: &str, content_type: &str, encoding: &str, body: Vec<u8>) -> Response {
    let request = server.client.post(server.otlp(path)).header("content-type", content_type);
    request.header("content-encoding", encoding).body(body).send().await.unwrap()
}

/// The code of a `google.rpc.Status` in the encoding of the request.
async fn status_code(response: Response, content_type: &str) -> (u16, i32) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], content_type);
    let body = response.bytes().await.unwrap();
    if content_type == JSON {
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert!(body["message"].is_string(), "{body}");
        return (status, i32::try_from(body["code"].as_i64().unwrap()).unwrap());
    }
    let body = pb::Status::decode(body).unwrap();
    assert!(!body.message.is_empty());
    (status, body.code)
}

#[tokio::test]
async fn every_signal_is_counted_in_every_format_and_compression() {
    let server = Running::start().await;
    for (at, encoding) in ENCODINGS.into_iter().enumerate() {
        for &signal in Signal::ALL {
            let forms = [
                (PROTOBUF, export::protobuf(signal, "shop")),
                (JSON, export::json(signal, "shop")),
                ("application/json; charset=utf-8", export::json(signal, "shop")),
            ];
            for (content_type, body) in forms {
                let response =
                    post(&server, export::path(signal), content_type, encoding, compress(encoding, &body)).await;
                assert_eq!(response.status(), 200, "{signal} {content_type} {encoding}");
                let answered = response.headers()["content-type"].to_str().unwrap().to_owned();
                assert!(content_type.starts_with(&answered), "{answered}");
                let whole: &[u8] = if answered == JSON { b"{}" } else { b"" };
                assert_eq!(response.bytes().await.unwrap(), whole);
            }
        }
        let service = server.ok("/api/v1/services").await["data"][0].clone();
        let count = json!(3 * (at + 1));
        assert_eq!(service["log_records"], count);
        assert_eq!((&service["spans"], &service["metric_points"]), (&count, &count));
    }
    assert_eq!(server.accounting().merged, 36);
}

#[tokio::test]
async fn an_empty_request_succeeds() {
    let server = Running::start().await;
    for &signal in Signal::ALL {
        for (content_type, body) in [(PROTOBUF, &b""[..]), (JSON, b"{}"), (JSON, b"")] {
            for encoding in ENCODINGS {
                let body = if body.is_empty() { Vec::new() } else { compress(encoding, body) };
                let response = post(&server, export::path(signal), content_type, encoding, body).await;
                assert_eq!(response.status(), 200, "{signal} {content_type} {encoding}");
            }
        }
    }
    assert_eq!(server.accounting().offered, 0);
}

#[tokio::test]
async fn what_cannot_be_read_is_a_bad_request_in_its_own_encoding() {
    let server = Running::start().await;
    let broken: [(&str, &str, &[u8]); 5] = [
        (PROTOBUF, "identity", b"\xff\xff\xff"),
        (PROTOBUF, "gzip", b"this is not gzip"),
        (PROTOBUF, "zstd", b"this is not zstd"),
        (JSON, "identity", b"{\"resourceLogs\": [}"),
        (JSON, "deflate", b"this is not deflate"),
    ];
    for (content_type, encoding, body) in broken {
        let response = post(&server, "/v1/logs", content_type, encoding, body.to_vec()).await;
        assert_eq!(status_code(response, content_type).await, (400, 3), "{content_type} {encoding}");
    }
    assert_eq!(server.accounting().offered, 0);
}

#[tokio::test]
async fn other_content_types_and_encodings_are_unsupported() {
    let server = Running::start().await;
    for content_type in ["text/plain", "application/xml", "application/jsonl"] {
        let response = post(&server, "/v1/logs", content_type, "identity", b"{}".to_vec()).await;
        assert_eq!(status_code(response, JSON).await, (415, 12), "{content_type}");
    }
    let without = server.client.post(server.otlp("/v1/logs")).body("{}").send().await.unwrap();
    assert_eq!(status_code(without, JSON).await, (415, 12));
    for (content_type, encoding) in [(PROTOBUF, "br"), (JSON, "gzip, gzip"), (PROTOBUF, "snappy")] {
        let response = post(&server, "/v1/logs", content_type, encoding, Vec::new()).await;
        assert_eq!(response.headers()["accept-encoding"], "identity,gzip,deflate,zstd");
        assert_eq!(status_code(response, content_type).await, (415, 12), "{encoding}");
    }
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_in_the_encoding_of_the_request() {
    let server = Running::start().await;
    for content_type in [PROTOBUF, JSON] {
        let response = post(&server, "/v1/profiles", content_type, "identity", Vec::new()).await;
        assert_eq!(status_code(response, content_type).await, (404, 12));
        let request = server.client.get(server.otlp("/v1/logs")).header("content-type", content_type);
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["allow"], "POST");
        assert_eq!(status_code(response, content_type).await, (405, 12));
    }
}

#[tokio::test]
async fn requests_past_a_limit_are_too_large() {
    let limits = Limits { max_request_bytes: 2_000, max_decompressed_bytes: 10_000, ..Limits::default() };
    let server = Setup::new().limits(limits).start().await;
    let fits = export::logs("shop", 100).encode_to_vec();
    assert!(fits.len() < 10_000, "{}", fits.len());
    let large = export::logs("shop", 1_000).encode_to_vec();
    for encoding in ENCODINGS.into_iter().skip(1) {
        let response = post(&server, "/v1/logs", PROTOBUF, encoding, compress(encoding, &fits)).await;
        assert_eq!(response.status(), 200, "{encoding}");
        let unfolds = compress(encoding, &large);
        assert!(unfolds.len() < 2_000, "{}", unfolds.len());
        let response = post(&server, "/v1/logs", PROTOBUF, encoding, unfolds).await;
        assert_eq!(status_code(response, PROTOBUF).await, (413, 8), "{encoding}");
    }
    // Refused on its announced length, and, in chunks, on what arrives.
    let response = post(&server, "/v1/logs", JSON, "identity", vec![b' '; 2_001]).await;
    assert_eq!(status_code(response, JSON).await, (413, 8));
    let chunks = futures_util::stream::iter((0..3).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1_000])));
    let request = server.client.post(server.otlp("/v1/logs")).header("content-type", PROTOBUF);
    let response = request.body(reqwest::Body::wrap_stream(chunks)).send().await.unwrap();
    assert_eq!(status_code(response, PROTOBUF).await, (413, 8));
}

#[tokio::test]
async fn a_bomb_stops_at_the_limit() {
    let limits = Limits {
        max_request_bytes: 1 << 20,
        max_decompressed_bytes: 1 << 20,
        max_inflight_bytes: 4 << 20,
        ..Limits::default()
    };
    let server = Setup::new().limits(limits).start().await;
    let zeros = vec![0; 64 << 20];
    for encoding in ENCODINGS.into_iter().skip(1) {
        let bomb = compress(encoding, &zeros);
        // Unfolded, it would not fit the limit of all requests: that is another error.
        let response = post(&server, "/v1/traces", PROTOBUF, encoding, bomb).await;
        assert_eq!(status_code(response, PROTOBUF).await, (413, 8), "{encoding}");
    }
}

#[tokio::test]
async fn rejected_records_are_a_partial_success() {
    let server = Running::start().await;
    let body = export::metrics("shop", "").encode_to_vec();
    let response = post(&server, "/v1/metrics", PROTOBUF, "identity", body).await;
    assert_eq!(response.status(), 200);
    let answer = ExportMetricsServiceResponse::decode(response.bytes().await.unwrap()).unwrap();
    let partial = answer.partial_success.unwrap();
    assert_eq!(partial.rejected_data_points, 1);
    assert!(!partial.error_message.is_empty());

    let nameless = json!({ "resourceMetrics": [{ "scopeMetrics": [{ "metrics": [
        { "gauge": { "dataPoints": [{ "asInt": "1" }] } }
    ] }] }] });
    let response = post(&server, "/v1/metrics", JSON, "identity", nameless.to_string().into_bytes()).await;
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["partialSuccess"]["rejectedDataPoints"], "1");
}

#[tokio::test]
async fn the_token_is_asked_for_in_the_encoding_of_the_request() {
    let server = Setup::new().token("secret").start().await;
    for content_type in [PROTOBUF, JSON] {
        let response = post(&server, "/v1/logs", content_type, "identity", Vec::new()).await;
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        assert_eq!(status_code(response, content_type).await, (401, 16));
        let request = server.client.post(server.otlp("/v1/logs")).header("content-type", content_type);
        assert_eq!(request.bearer_auth("secret").send().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn web_pages_may_send_only_where_their_origin_is_allowed() {
    let preflight = async |server: &Running, origin: &str| {
        let request = server.client.request(reqwest::Method::OPTIONS, server.otlp("/v1/traces"));
        let request = request.header("origin", origin).header("access-control-request-method", "POST");
        request.header("access-control-request-headers", "content-type").send().await.unwrap()
    };
    let closed = Running::start().await;
    let response = preflight(&closed, "https://shop.example").await;
    assert_eq!(response.status(), 405);
    assert!(!response.headers().contains_key("access-control-allow-origin"));

    let mut setup = Setup::new().token("secret");
    setup.options.otlp_cors_origins = vec!["https://shop.example".to_owned()];
    let open = setup.start().await;
    let response = preflight(&open, "https://shop.example").await;
    assert_eq!(response.headers()["access-control-allow-origin"], "https://shop.example");
    assert_eq!(response.headers()["access-control-allow-headers"], "content-type");
    let response = preflight(&open, "https://evil.example").await;
    assert!(!response.headers().contains_key("access-control-allow-origin"));
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut text)).await.expect("the server closes the connection").unwrap();
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn who_sends_too_slowly_is_let_go() {
    let limit = Duration::from_millis(100);
    let limits = Limits { header_read_timeout: limit, ..Limits::default() };
    let server = Setup::new().limits(limits).start().await;
    for begun in ["", "POST /v1/logs HTTP/1.1\r\nhost: localhost\r\n"] {
        let mut stream = TcpStream::connect(server.addresses.otlp_http).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        assert!(!read_all(&mut stream).await.contains("200 OK"));
    }
    let limits = Limits { body_read_timeout: limit, ..Limits::default() };
    let server = Setup::new().limits(limits).start().await;
    let mut stream = TcpStream::connect(server.addresses.otlp_http).await.unwrap();
    let head =
        "POST /v1/logs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("\"code\":4"), "{answer}");
}

#[tokio::test]
async fn who_sends_everything_before_reading_gets_the_answer_to_what_is_refused() {
    let limits = Limits { max_request_bytes: 1 << 20, ..Limits::default() };
    let server = Setup::new().limits(limits).token("secret").start().await;
    let body = vec![b'0'; 16 << 20];
    let length = format!("content-length: {}\r\n", body.len());
    let (authorized, json) = ("authorization: Bearer secret\r\n", "content-type: application/json\r\n");
    let (otlp, api) = (server.addresses.otlp_http, server.addresses.api);
    let refused = [
        (otlp, "/v1/logs", format!("{authorized}{json}{length}"), "413"),
        (otlp, "/v1/logs", format!("{json}{length}"), "401"),
        (otlp, "/v1/none", format!("{authorized}{length}"), "404"),
        (api, "/api/v1/ticks", format!("{authorized}{json}{length}"), "413"),
        (api, "/api/v1/ticks", format!("{json}{length}"), "401"),
    ];
    for (address, path, headers, status) in refused {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let sent = timeout(PATIENCE, stream.write_all(&body)).await.expect("the server reads on");
        sent.unwrap_or_else(|error| panic!("{path} {status}: {error}"));
        // The connection is good for the next request, whose answer is the last.
        let next = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(next).await.unwrap();
        let answers = read_all(&mut stream).await;
        assert!(answers.starts_with(&format!("HTTP/1.1 {status}")), "{path} {status}: {answers}");
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 2, "{path} {status}: {answers}");
    }
}

#[tokio::test]
async fn connections_past_the_limit_wait_for_their_turn() {
    let limits = Limits { max_connections: 1, ..Limits::default() };
    let server = Setup::new().limits(limits).start().await;
    let request = "GET /v1/logs HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut first = TcpStream::connect(server.addresses.otlp_http).await.unwrap();
    first.write_all(request.as_bytes()).await.unwrap();
    first.read_u8().await.unwrap();
    let mut second = TcpStream::connect(server.addresses.otlp_http).await.unwrap();
    second.write_all(request.as_bytes()).await.unwrap();
    let answer = timeout(Duration::from_millis(100), second.read_u8()).await;
    assert!(answer.is_err(), "the second connection was served beside the first");
    drop(first);
    timeout(PATIENCE, second.read_u8()).await.expect("the first left its place").unwrap();
}
