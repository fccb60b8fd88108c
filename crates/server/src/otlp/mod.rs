//! The OTLP receivers: gRPC and HTTP in front of one state. Both collect a request into one piece of memory, decompress it,
//! and hand its protobuf bytes to the writer; no message objects are built.

mod body;
mod buffer;
mod failure;
mod grpc;
mod http;
mod inflate;
mod receiver;
mod reply;

pub(crate) use failure::{Failure, FailureKind};
pub(crate) use grpc::Grpc;
pub(crate) use receiver::Receiver;

pub(crate) use self::http::router as http_router;
