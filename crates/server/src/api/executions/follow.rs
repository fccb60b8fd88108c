//! `executions/{id}/logs/follow`: lines while they come.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream as Events, StreamExt as _, stream};
use serde::Deserialize;
use tallybook_core::{ExecutionStatus, Stream};
use utoipa::{IntoParams, ToSchema};

use super::lines::{Ansi, Reader, Wanted};
use crate::api::Api;
use crate::api::error::{ApiError, Failures, Missing};
use crate::api::params::{Name, Params, natural};
use crate::api::schema;

/// How often the store is asked for new lines.
const EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct FollowFilter {
    /// From this line on, counted from 1.
    #[serde(default, deserialize_with = "natural")]
    #[param(minimum = 0)]
    since: u64,
    /// Of this step alone.
    #[serde(default, deserialize_with = "natural")]
    step: Option<u64>,
    /// Of this stream alone.
    #[param(schema_with = schema::stream)]
    stream: Option<Stream>,
    /// What becomes of colours.
    #[serde(default)]
    #[param(inline)]
    ansi: Ansi,
}

/// One event of the stream.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is only documented: axum writes the events")]
pub(crate) struct FollowEvent {
    /// The number of the line.
    id: Option<String>,
    /// `end` for the last one.
    event: Option<String>,
    /// The line as JSON, or the state at the end.
    data: String,
}

struct Following {
    api: Api,
    id: String,
    reader: Reader,
    ansi: Ansi,
    ready: VecDeque<Event>,
    /// The state it was seen in before its lines were read last.
    status: ExecutionStatus,
    ended: bool,
}

/// Lines of an execution as server-sent events: those there are, then those that come, until it has ended. Each has the number
/// of its line as `id` and a line of `/logs` as `data`; the last event is `end`, with the state.
#[utoipa::path(get, operation_id = "follow_log_lines", path = "/api/v1/executions/{id}/logs/follow", tag = "executions",
    params(("id" = String, Path), FollowFilter),
    responses((status = 200, body = inline(FollowEvent), content_type = "text/event-stream"), Failures, Missing))]
pub(crate) async fn follow(
    State(api): State<Api>,
    Name(id): Name,
    Params(FollowFilter { since, step, stream, ansi }): Params<FollowFilter>,
) -> Result<Sse<impl Events<Item = Result<Event, Infallible>>>, ApiError> {
    let status = api.execution(&id).await?.status;
    let reader = Reader::new(&id, Wanted { step, stream, search: None }, since);
    let stopping = api.stopping.clone();
    let following = Following { api, id, reader, ansi, ready: VecDeque::new(), status, ended: false };
    let events = stream::unfold(following, |mut following| async move {
        let event = following.next().await?;
        Some((Ok(event), following))
    });
    Ok(Sse::new(events.take_until(stopping.cancelled_owned())).keep_alive(KeepAlive::default()))
}

impl Following {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            match self.look().await {
                Ok(true) => {}
                Ok(false) if self.status.is_final() => {
                    self.ended = true;
                    return Some(Event::default().event("end").data(self.status.as_str()));
                }
                Ok(false) => {
                    tokio::time::sleep(EVERY).await;
                    match self.api.execution(&self.id).await {
                        Ok(execution) => self.status = execution.status,
                        Err(error) => return Some(self.broken(&error)),
                    }
                }
                Err(error) => return Some(self.broken(&error.into())),
            }
        }
    }

    /// Reads what is new; says whether that was anything.
    async fn look(&mut self) -> tallybook_core::Result<bool> {
        let chunks = self.reader.chunks(&*self.api.store).await?;
        for chunk in &chunks {
            let (ready, ansi) = (&mut self.ready, self.ansi);
            self.reader.lines(chunk, |number, line| {
                let item = Reader::item(chunk, number, line, ansi);
                // An item is texts and numbers.
                if let Ok(event) = Event::default().id(number.to_string()).json_data(item) {
                    ready.push_back(event);
                }
                true
            })?;
        }
        Ok(!chunks.is_empty())
    }

    /// The client asks again from the line it had last.
    fn broken(&mut self, error: &ApiError) -> Event {
        self.ended = true;
        Event::default().event("error").data(error.message().replace(['\r', '\n'], " "))
    }
}
