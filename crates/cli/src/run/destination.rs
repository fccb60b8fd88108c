//! The two places an execution can be recorded at: a store that is open here, and a server.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::{RequestBuilder, Response, StatusCode};
use tallybook_core::{
    Ack, Batch, BatchId, CancelRequest, Condition, ErrorKind, ExecutionEvent, ExecutionEventKind, Query, Records,
    SourceId, Store, StoreExt as _, Tracker,
};
use tallybook_runner::{ArtifactError, Artifacts, Destination, NotTaken, Taken};
use tallybook_writer::Writer;

/// The longest a server may take for a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest it may take for an artifact.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// A store that is open in this process.
#[derive(Debug)]
pub(crate) struct StoreDestination {
    store: Arc<dyn Store>,
    /// Where it is written to through one; it accounts for what is written.
    writer: Option<Writer>,
    /// Executions whose end has not come yet. One that could not be written is read again.
    trackers: Mutex<HashMap<String, Tracker>>,
}

impl StoreDestination {
    /// Through the writer of the store, where there is one.
    pub(crate) fn new(store: Arc<dyn Store>, writer: Option<Writer>) -> Self {
        Self { store, writer, trackers: Mutex::default() }
    }

    fn trackers(&self) -> MutexGuard<'_, HashMap<String, Tracker>> {
        self.trackers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The execution behind these events.
    async fn record(&self, id: &str, events: &[ExecutionEvent]) -> Result<Tracker, NotTaken> {
        let mut events = events.iter();
        let known = self.trackers().remove(id);
        let known = match known {
            Some(tracker) => Some(tracker),
            None => Tracker::load(self.store.as_ref(), id).await.map_err(not_taken)?,
        };
        let mut tracker = if let Some(tracker) = known {
            tracker
        } else {
            let first = events.next().ok_or_else(|| NotTaken::Refused("there are no events".to_owned()))?;
            Tracker::create(id, first.clone()).map_err(refused)?
        };
        for event in events {
            tracker.apply(event.clone()).map_err(refused)?;
        }
        let executions = tracker.take();
        if executions.is_empty() {
            return Ok(tracker);
        }
        if let Some(writer) = &self.writer {
            let accepted = writer.executions(executions).await.map_err(|refused| NotTaken::Yet(refused.to_string()))?;
            if accepted.rejected > 0 {
                return Err(NotTaken::Refused("the store refused rows of it; see the dead letters".to_owned()));
            }
        } else {
            let id = BatchId { source: SourceId::named(&format!("execution {id}")), seq: tracker.last_event() };
            let batch = Batch { id, ack: Ack::Durable, records: Records { executions, ..Records::default() } };
            self.store.commit(Arc::new(batch)).await.map_err(not_taken)?;
        }
        Ok(tracker)
    }

    async fn is_to_end(&self, id: &str) -> Result<bool, NotTaken> {
        let query = Query::new(1).filter(Condition::Equals("execution", id.into()));
        let requests = self.store.list::<CancelRequest>(&query).await.map_err(not_taken)?;
        Ok(!requests.items.is_empty())
    }
}

#[async_trait]
impl Destination for StoreDestination {
    async fn take(&self, id: &str, events: &[ExecutionEvent]) -> Result<Taken, NotTaken> {
        if !events.is_empty() {
            let tracker = self.record(id, events).await?;
            if tracker.execution().status.is_final() {
                return Ok(Taken::default());
            }
            self.trackers().insert(id.to_owned(), tracker);
        }
        Ok(Taken { cancel: self.is_to_end(id).await? })
    }
}

/// A server, near or far.
pub(crate) struct ServerDestination {
    client: reqwest::Client,
    address: String,
    token: Option<String>,
    artifacts: Artifacts,
    /// Whether nothing here needs contents that the server has.
    forgets: bool,
}

impl ServerDestination {
    /// Nothing is asked of the server yet.
    ///
    /// # Errors
    /// When no client can be made.
    pub(crate) fn new(
        address: &str,
        token: Option<String>,
        artifacts: Artifacts,
        forgets: bool,
    ) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().timeout(REQUEST_TIMEOUT).build()?;
        Ok(Self { client, address: address.to_owned(), token, artifacts, forgets })
    }

    /// The answer to a request, once it is a good one.
    async fn send(&self, request: RequestBuilder) -> Result<Response, NotTaken> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let away = |_| NotTaken::Yet(format!("no server answers at {}", self.address));
        let response = request.send().await.map_err(away)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let url = response.url().clone();
        let answer: serde_json::Value = response.json().await.unwrap_or_default();
        let why = format!("{url} answered {status}: {}", answer["error"]["message"].as_str().unwrap_or_default());
        // What is wrong with the request itself stays wrong; a token can be put right, and a server replaced.
        let is_for_now = matches!(
            status,
            StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::NOT_FOUND
                | StatusCode::REQUEST_TIMEOUT
                | StatusCode::TOO_MANY_REQUESTS
        );
        Err(if status.is_client_error() && !is_for_now { NotTaken::Refused(why) } else { NotTaken::Yet(why) })
    }

    /// The content comes before the event that names it.
    async fn upload(&self, id: &str, sha256: &str) -> Result<(), NotTaken> {
        let file = match self.artifacts.open(sha256) {
            Ok(file) => file,
            // Another run of the same content has brought it.
            Err(ArtifactError::Missing { .. }) => return Ok(()),
            Err(error) => return Err(NotTaken::Yet(error.to_string())),
        };
        let url = format!("{}/api/v1/executions/{id}/artifacts/{sha256}", self.address);
        let request = self.client.put(url).timeout(UPLOAD_TIMEOUT).body(tokio::fs::File::from_std(file));
        self.send(request).await.map(drop)
    }
}

impl fmt::Debug for ServerDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerDestination").field("address", &self.address).finish_non_exhaustive()
    }
}

#[async_trait]
impl Destination for ServerDestination {
    async fn take(&self, id: &str, events: &[ExecutionEvent]) -> Result<Taken, NotTaken> {
        let contents: Vec<&str> = events
            .iter()
            .filter_map(|event| match &event.kind {
                ExecutionEventKind::Artifact(artifact) => Some(&*artifact.sha256),
                _ => None,
            })
            .collect();
        for sha256 in &contents {
            self.upload(id, sha256).await?;
        }
        let url = format!("{}/api/v1/executions/{id}/events", self.address);
        let mut body = Vec::new();
        for event in events {
            serde_json::to_writer(&mut body, event).map_err(|error| NotTaken::Refused(error.to_string()))?;
            body.push(b'\n');
        }
        let request = self.client.post(&url).header("content-type", "application/x-ndjson").body(body);
        let answer: serde_json::Value = self.send(request).await?.json().await.unwrap_or_default();
        for sha256 in contents.into_iter().filter(|_| self.forgets) {
            self.artifacts.remove(sha256).map_err(|error| NotTaken::Yet(error.to_string()))?;
        }
        Ok(Taken { cancel: answer["cancel"].as_bool().unwrap_or_default() })
    }
}

fn refused(error: impl fmt::Display) -> NotTaken {
    NotTaken::Refused(error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "what a result gives away")]
fn not_taken(error: tallybook_core::Error) -> NotTaken {
    match error.kind() {
        ErrorKind::Invalid => NotTaken::Refused(error.to_string()),
        _ => NotTaken::Yet(error.to_string()),
    }
}
