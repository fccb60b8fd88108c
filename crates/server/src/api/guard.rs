//! What every request to the API passes: the host, the token, the size of its body; and the headers of every answer.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use crate::Token;
use crate::auth::is_authorized;
use crate::counters::Counters;

/// Probes have no token, and learn nothing else here.
const OPEN_PATHS: [&str; 2] = ["/api/v1/health", "/api/v1/ready"];

/// What a request has to fulfil.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub(crate) token: Option<Token>,
    /// Of a request that needs no body.
    pub(crate) max_body_bytes: u64,
    /// Of a request that brings data; what little else is sent is limited where it is read.
    pub(crate) max_data_bytes: u64,
    pub(crate) counters: Counters,
}

pub(crate) async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let mut response = match guard.check(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    guard.counters.api_answered(response.status().as_u16());
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, nothing);
    response
}

impl Guard {
    fn check(&self, request: &Request) -> Result<(), ApiError> {
        // A token cannot be had by a page that rebinds its name to this machine; without one, the name must be ours.
        if self.token.is_none() && !is_local(request.uri(), request.headers()) {
            return Err(ApiError::forbidden_host());
        }
        let is_open = OPEN_PATHS.contains(&request.uri().path());
        if !is_open && !is_authorized(self.token.as_ref(), request.headers()) {
            return Err(ApiError::unauthorized());
        }
        let length =
            request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let limit = if takes_data(request.method()) { self.max_data_bytes } else { self.max_body_bytes };
        if length.is_some_and(|length: u64| length > limit) {
            return Err(ApiError::body_too_large(limit));
        }
        Ok(())
    }
}

fn takes_data(method: &Method) -> bool {
    [Method::POST, Method::PUT].contains(method)
}

/// Whether the request was sent to a name of the loopback interface.
fn is_local(uri: &Uri, headers: &HeaderMap) -> bool {
    let host = match (headers.get(header::HOST), uri.authority()) {
        (Some(host), _) => host.to_str().unwrap_or_default(),
        (None, Some(authority)) => authority.as_str(),
        // Only what is no browser says nothing.
        (None, None) => return true,
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_the_loopback_interface_are_local() {
        let local = |host: &str| {
            is_local(&Uri::from_static("/"), &HeaderMap::from_iter([(header::HOST, host.parse().unwrap())]))
        };
        for host in
            ["localhost", "LocalHost:8090", "127.0.0.1:8090", "127.8.8.8", "[::1]:8090", "[::1]", "app.localhost:1"]
        {
            assert!(local(host), "{host}");
        }
        for host in ["evil.example", "evil.example:8090", "localhost.evil.example", "10.0.0.1:8090", "", "[::2]:80"] {
            assert!(!local(host), "{host}");
        }
    }
}
