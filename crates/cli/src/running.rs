//! The API of a running server, as the commands ask it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use reqwest::{Client, Method};
use serde_json::Value;

const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Which server is asked.
#[derive(Args)]
pub(crate) struct Running {
    /// The server's API
    #[arg(long, global = true, default_value = "http://127.0.0.1:8090", value_name = "URL")]
    pub(crate) server: String,
    /// The server's token
    #[arg(long, global = true, env = "API_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
}

impl Running {
    /// The JSON of `/api/v1/…`.
    ///
    /// # Errors
    /// One sentence where nobody answers, or the server refuses.
    pub(crate) async fn ask(&self, method: Method, path: &str) -> Result<Value> {
        let client = Client::builder().timeout(ANSWER_MAX).build()?;
        let url = format!("{}/api/v1/{path}", self.server.trim_end_matches('/'));
        let mut request = client.request(method, &url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.with_context(|| {
            format!("no server answers at {}; start one with `tallybook serve`, or name it with --server", self.server)
        })?;
        let status = response.status();
        let answer: Value = response.json().await.with_context(|| format!("{url} did not answer with JSON"))?;
        if !status.is_success() {
            bail!("{url} answered {status}: {}", answer["error"]["message"].as_str().unwrap_or_default());
        }
        Ok(answer)
    }
}
