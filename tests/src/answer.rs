//! What a server answered.

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use prost::Message as _;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// An answer over HTTP, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The headers after the body, where gRPC has its status.
    trailers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RpcStatus {
    /// A code of gRPC.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// For people.
    #[prost(string, tag = "2")]
    pub message: String,
    /// For programs: `google.rpc.RetryInfo`, …
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<prost_types::Any>,
}

impl Answer {
    /// Reads the answer to its end.
    ///
    /// # Errors
    /// When the connection breaks before.
    pub async fn read(response: reqwest::Response) -> Result<Self> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = reqwest::Body::from(response).collect().await?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        Ok(Self { status, headers, trailers, body: body.to_bytes() })
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).or_else(|| self.trailers.get(name))?.to_str().ok()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }

    /// The body of an OTLP/HTTP error, in the encoding that its content type names.
    ///
    /// # Errors
    /// When it is not a `google.rpc.Status` in that encoding.
    pub fn rpc_status(&self) -> Result<RpcStatus> {
        match self.header("content-type") {
            Some("application/x-protobuf") => Ok(RpcStatus::decode(self.body.clone())?),
            Some("application/json") => {
                let json = self.json()?;
                let code = json["code"].as_i64().context("`code` is not a number")?.try_into()?;
                let message = json["message"].as_str().context("`message` is not text")?.to_owned();
                Ok(RpcStatus { code, message, details: Vec::new() })
            }
            other => bail!("{other:?} is no encoding of OTLP"),
        }
    }

    /// Whether a client that OTLP tells of may send this again: the answer says when.
    ///
    /// # Errors
    /// When the details of a gRPC status cannot be read.
    pub fn asks_for_a_retry(&self) -> Result<bool> {
        const RETRYABLE: [u32; 2] = [8, 14];
        match self.header("grpc-status-details-bin") {
            Some(details) => {
                let status = RpcStatus::decode(STANDARD_NO_PAD.decode(details.trim_end_matches('='))?.as_slice())?;
                let says_when = status.details.iter().any(|detail| detail.type_url.ends_with("google.rpc.RetryInfo"));
                Ok(RETRYABLE.contains(&self.grpc_code()?) && says_when)
            }
            None => Ok([429, 503].contains(&self.status) && self.header("retry-after").is_some()),
        }
    }

    /// The status of a gRPC call.
    ///
    /// # Errors
    /// When the answer is not one of gRPC.
    pub fn grpc_code(&self) -> Result<u32> {
        ensure!(self.status == 200, "gRPC answers HTTP status 200, not {}", self.status);
        self.header("grpc-status").context("no grpc-status")?.parse().context("grpc-status is not a number")
    }
}
