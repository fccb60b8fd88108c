//! OTLP/gRPC.

use bytes::{Buf, BufMut, Bytes};
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message as _;
use serde_json::json;
use tallybook_server::Limits;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};
use tonic_types::StatusExt;

use crate::export;
use crate::running::{Running, Setup};

const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
const COMPRESSIONS: [CompressionEncoding; 3] =
    [CompressionEncoding::Gzip, CompressionEncoding::Zstd, CompressionEncoding::Deflate];

async fn channel(server: &Running) -> Channel {
    Channel::from_shared(format!("http://{}", server.addresses.otlp_grpc)).unwrap().connect().await.unwrap()
}

/// Sends bytes as they are.
#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

async fn raw(server: &Running, path: &'static str, request: Request<Bytes>) -> Result<Bytes, Status> {
    let mut client = tonic::client::Grpc::new(channel(server).await);
    client.ready().await.unwrap();
    let answer = client.unary(request, http::uri::PathAndQuery::from_static(path), Raw).await;
    answer.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn every_signal_is_counted_in_every_compression() {
    let server = Running::start().await;
    let channel = channel(&server).await;
    let mut count = 0;
    for compression in [None].into_iter().chain(COMPRESSIONS.map(Some)) {
        let mut logs = LogsServiceClient::new(channel.clone());
        let mut traces = TraceServiceClient::new(channel.clone());
        let mut metrics = MetricsServiceClient::new(channel.clone());
        if let Some(compression) = compression {
            logs = logs.send_compressed(compression);
            traces = traces.send_compressed(compression);
            metrics = metrics.send_compressed(compression);
        }
        let answer = logs.export(export::logs("shop", 1)).await.unwrap().into_inner();
        assert!(answer.partial_success.is_none());
        traces.export(export::spans("shop", "GET /")).await.unwrap();
        metrics.export(export::metrics("shop", "up")).await.unwrap();
        count += 1;
        let service = server.ok("/api/v1/services").await["data"][0].clone();
        let counts = ["log_records", "spans", "metric_points"].map(|kind| service[kind].clone());
        assert_eq!(counts, [json!(count), json!(count), json!(count)], "{compression:?}");
    }
}

#[tokio::test]
async fn both_ports_add_to_the_same_counts() {
    let server = Running::start().await;
    let mut client = LogsServiceClient::new(channel(&server).await);
    for _ in 0..2 {
        client.export(export::logs("shop", 5)).await.unwrap();
        let request = server.client.post(server.otlp("/v1/logs")).header("content-type", export::PROTOBUF);
        request.body(export::logs("shop", 5).encode_to_vec()).send().await.unwrap().error_for_status().unwrap();
    }
    let templates = server.ok("/api/v1/logs/templates").await;
    assert_eq!((&templates["total"], &templates["data"][0]["count"]), (&json!(1), &json!(20)));
    assert_eq!(templates["data"][0]["percentage"], json!(100.0));
}

#[tokio::test]
async fn an_empty_request_succeeds_and_rejected_records_are_told() {
    let server = Running::start().await;
    assert!(raw(&server, LOGS, Request::new(Bytes::new())).await.unwrap().is_empty());
    let mut client = MetricsServiceClient::new(channel(&server).await);
    let answer = client.export(export::metrics("shop", "")).await.unwrap().into_inner();
    assert_eq!(answer.partial_success.unwrap().rejected_data_points, 1);
}

#[tokio::test]
async fn what_cannot_be_read_is_an_invalid_argument() {
    let server = Running::start().await;
    let status = raw(&server, LOGS, Request::new(Bytes::from_static(b"\xff\xff"))).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.get_details_retry_info().is_none());
    let unknown = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";
    let status = raw(&server, unknown, Request::new(Bytes::new())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
}

#[tokio::test]
async fn an_unknown_compression_is_answered_with_those_there_are() {
    let server = Running::start().await;
    let mut request = Request::new(Bytes::new());
    request.metadata_mut().insert("grpc-encoding", MetadataValue::from_static("snappy"));
    let status = raw(&server, LOGS, request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(status.metadata().get("grpc-accept-encoding").unwrap(), "identity,gzip,deflate,zstd");
}

#[tokio::test]
async fn messages_past_a_limit_are_not_to_be_sent_again() {
    let limits = Limits { max_request_bytes: 2_000, max_decompressed_bytes: 10_000, ..Limits::default() };
    let server = Setup::new().limits(limits).start().await;
    let refused = |result: Result<_, Status>| {
        let status = result.map(drop).unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert!(status.get_details_retry_info().is_none(), "clients take this for a reason to retry");
    };
    let mut plain = LogsServiceClient::new(channel(&server).await);
    refused(plain.export(export::logs("shop", 100)).await);
    for compression in COMPRESSIONS {
        let mut client = LogsServiceClient::new(channel(&server).await).send_compressed(compression);
        client.export(export::logs("shop", 100)).await.unwrap();
        refused(client.export(export::logs("shop", 1_000)).await);
    }
}

#[tokio::test]
async fn the_token_is_asked_for_by_all_but_health() {
    let server = Setup::new().token("secret").start().await;
    let channel = channel(&server).await;
    let mut client = LogsServiceClient::new(channel.clone());
    let status = client.export(export::logs("shop", 1)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    let mut request = Request::new(export::logs("shop", 1));
    request.metadata_mut().insert("authorization", MetadataValue::from_static("Bearer secret"));
    client.export(request).await.unwrap();
    assert_eq!(list_services(channel.clone()).await.unwrap_err().code(), Code::Unauthenticated);
    HealthClient::new(channel).check(HealthCheckRequest { service: String::new() }).await.unwrap();
}

#[tokio::test]
async fn the_services_say_that_they_serve() {
    let server = Running::start().await;
    let mut client = HealthClient::new(channel(&server).await);
    for service in ["", "opentelemetry.proto.collector.trace.v1.TraceService"] {
        let answer = client.check(HealthCheckRequest { service: service.to_owned() }).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving);
    }
}

async fn list_services(channel: Channel) -> Result<Vec<String>, Status> {
    let message_request = Some(MessageRequest::ListServices(String::new()));
    let request = ServerReflectionRequest { host: String::new(), message_request };
    let mut client = ServerReflectionClient::new(channel);
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await?.into_inner();
    let answer: ServerReflectionResponse = answers.message().await?.unwrap();
    match answer.message_response.unwrap() {
        MessageResponse::ListServicesResponse(list) => {
            Ok(list.service.into_iter().map(|service| service.name).collect())
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn reflection_lists_what_there_is() {
    let server = Running::start().await;
    let mut services = list_services(channel(&server).await).await.unwrap();
    services.sort();
    let expected = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "opentelemetry.proto.collector.logs.v1.LogsService",
        "opentelemetry.proto.collector.metrics.v1.MetricsService",
        "opentelemetry.proto.collector.trace.v1.TraceService",
    ];
    assert_eq!(services, expected);
}
