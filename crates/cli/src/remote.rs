//! A running server, spoken to over its API.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use crate::store::server_address;

/// The longest a server may take for a request that it answers at once.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest a server may be silent while it sends a file.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// A server and the token it wants.
#[derive(Clone)]
pub(crate) struct Remote {
    client: Client,
    address: String,
    token: Option<String>,
}

/// Why a server did not take what it was sent.
#[derive(Debug)]
pub(crate) enum NotTaken {
    /// For now: the same may work later.
    Yet(String),
    /// For ever.
    Refused(String),
}

impl Remote {
    /// # Errors
    /// One sentence when it is no address of a server.
    pub(crate) fn new(address: &str, token: Option<String>) -> Result<Self> {
        let address = server_address(address)?;
        Ok(Self { client: Client::builder().read_timeout(READ_TIMEOUT).build()?, address, token })
    }

    /// POST to `/api/v1/…`; gives the answer.
    pub(crate) async fn post(&self, path: &str, content_type: &str, body: Vec<u8>) -> Result<Value, NotTaken> {
        let url = format!("{}/api/v1/{path}", self.address);
        let request = self.client.post(&url).header("content-type", content_type).timeout(REQUEST_TIMEOUT).body(body);
        let response = self.with_token(request).send().await.map_err(|_| {
            let address = &self.address;
            NotTaken::Yet(format!("no server answers at {address}; start one with `tallybook serve`, or name another"))
        })?;
        let status = response.status();
        let answer: Value = response.json().await.unwrap_or_default();
        if status.is_success() {
            return Ok(answer);
        }
        let why = format!("{url} answered {status}: {}", answer["error"]["message"].as_str().unwrap_or_default());
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(NotTaken::Yet(why));
        }
        Err(NotTaken::Refused(why))
    }

    /// GET of `/api/v1/…`, whose answer is read as it comes.
    ///
    /// # Errors
    /// No server answers, or it refuses.
    pub(crate) async fn get(&self, path: &str, query: &[(&str, String)]) -> Result<Response> {
        let url = format!("{}/api/v1/{path}", self.address);
        let request = self.with_token(self.client.get(&url).query(query));
        let response = request.send().await.with_context(|| format!("no server answers at {}", self.address))?;
        let status = response.status();
        if !status.is_success() {
            let answer: Value = response.json().await.unwrap_or_default();
            bail!("{url} answered {status}: {}", answer["error"]["message"].as_str().unwrap_or_default());
        }
        Ok(response)
    }

    /// All items of a list of `/api/v1/…`, page by page.
    ///
    /// # Errors
    /// As [`Remote::get`].
    pub(crate) async fn list(&self, path: &str, query: &[(&str, String)]) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut after = None;
        loop {
            let mut query = query.to_vec();
            query.push(("limit", "1000".to_owned()));
            query.extend(after.map(|after| ("after", after)));
            let mut page: Value = self.get(path, &query).await?.json().await?;
            if let Value::Array(data) = page["data"].take() {
                items.extend(data);
            }
            after = page["next"].as_str().map(str::to_owned);
            if after.is_none() {
                return Ok(items);
            }
        }
    }

    fn with_token(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}
