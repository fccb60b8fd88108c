//! What calls that run SQL are sent, and answer with.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tallybook_sqlite::{Ack, Engine, Params, Result, Rows, from_json};
use utoipa::ToSchema;

const DEFAULT_ROWS: u32 = 1_000;
const MAX_ROWS: u32 = 100_000;
const DEFAULT_TIME_MS: u32 = 5_000;
const MAX_TIME_MS: u32 = 60_000;

/// Parameters of a statement: a list for `?`, or an object for `:name`. A blob is `{"base64": "…"}`.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(untagged)]
pub(super) enum ParamsBody {
    #[default]
    None,
    /// By position.
    Positional(Vec<Json>),
    /// By name.
    Named(serde_json::Map<String, Json>),
}

impl TryFrom<ParamsBody> for Params {
    type Error = tallybook_sqlite::Error;

    fn try_from(body: ParamsBody) -> Result<Self> {
        Ok(match body {
            ParamsBody::None => Self::None,
            ParamsBody::Positional(values) => Self::Positional(values.iter().map(from_json).collect::<Result<_>>()?),
            ParamsBody::Named(values) => {
                let named = values.into_iter().map(|(name, value)| Ok((name, from_json(&value)?)));
                Self::Named(named.collect::<Result<_>>()?)
            }
        })
    }
}

/// A query.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryBody {
    /// One statement that reads.
    #[schema(example = "SELECT name, span_count FROM services ORDER BY name")]
    pub(super) sql: String,
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(super) params: ParamsBody,
    /// Rows that are answered at the most; `more` says whether there are further ones.
    #[serde(default = "default_rows")]
    #[schema(minimum = 1, maximum = 100_000, default = 1_000)]
    pub(super) limit: u32,
    /// How long it may take, in milliseconds.
    #[serde(default = "default_time")]
    #[schema(minimum = 1, maximum = 60_000, default = 5_000)]
    pub(super) time_limit_ms: u32,
}

/// A statement that writes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExecuteBody {
    /// One statement.
    #[schema(example = "INSERT INTO note (text) VALUES (?)")]
    pub(super) sql: String,
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(super) params: ParamsBody,
    /// Instead of `params`: the statement runs once for each of these, for all or none.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    pub(super) sets: Option<Vec<ParamsBody>>,
    #[serde(default)]
    #[schema(inline)]
    pub(super) ack: AckBody,
    /// How long it may take, in milliseconds.
    #[serde(default = "default_time")]
    #[schema(minimum = 1, maximum = 60_000, default = 5_000)]
    pub(super) time_limit_ms: u32,
}

/// Statements and queries that are one transaction.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransactionBody {
    /// What is done, in this order; all or nothing of it. At most 10,000.
    pub(super) steps: Vec<StepBody>,
    #[serde(default)]
    #[schema(inline)]
    pub(super) ack: AckBody,
    /// How long it may take, in milliseconds.
    #[serde(default = "default_time")]
    #[schema(minimum = 1, maximum = 60_000, default = 5_000)]
    pub(super) time_limit_ms: u32,
}

/// One step: with `execute` it tells how many rows it changed, with `query` it answers with rows.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StepBody {
    /// A statement that writes.
    #[serde(default)]
    pub(super) execute: Option<String>,
    /// A statement that answers; it may write as well (`RETURNING`).
    #[serde(default)]
    pub(super) query: Option<String>,
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(super) params: ParamsBody,
}

/// Many statements, with comments and triggers, that are one transaction.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScriptBody {
    /// The statements, with `;` behind each.
    #[schema(example = "CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT);")]
    pub(super) sql: String,
    #[serde(default)]
    #[schema(inline)]
    pub(super) ack: AckBody,
    /// How long it may take, in milliseconds.
    #[serde(default = "default_time")]
    #[schema(minimum = 1, maximum = 60_000, default = 5_000)]
    pub(super) time_limit_ms: u32,
}

/// When a write is answered.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum AckBody {
    /// Once committed.
    Written,
    /// Once on disk.
    #[default]
    Durable,
}

/// The rows of an answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RowsAnswer {
    /// The names of the columns.
    columns: Vec<String>,
    /// The values of each row, in the order of the columns.
    #[schema(value_type = Vec<Vec<Object>>)]
    rows: Vec<Vec<Json>>,
    /// Whether there are more rows than `limit`.
    more: bool,
}

/// What a statement did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExecutedAnswer {
    /// Rows that were inserted, changed or deleted.
    pub(super) rows: u64,
    /// The row id of the last insert.
    pub(super) last_insert_rowid: i64,
}

/// What each step of a transaction came to, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TransactionAnswer {
    pub(super) steps: Vec<StepAnswer>,
}

#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum StepAnswer {
    Executed(ExecutedAnswer),
    Rows(RowsAnswer),
}

/// What a script did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ScriptAnswer {
    /// Statements that ran.
    pub(super) statements: u64,
    /// Rows that were inserted, changed or deleted.
    pub(super) rows: u64,
}

fn default_rows() -> u32 {
    DEFAULT_ROWS
}

fn default_time() -> u32 {
    DEFAULT_TIME_MS
}

/// A number of rows within its bounds.
pub(super) fn rows(limit: u32) -> usize {
    limit.clamp(1, MAX_ROWS) as usize
}

/// A time within its bounds.
pub(super) fn time(limit_ms: u32) -> Duration {
    Duration::from_millis(limit_ms.clamp(1, MAX_TIME_MS).into())
}

impl AckBody {
    /// The engine that answers so, and takes no longer than this.
    pub(super) fn of(self, engine: &Engine, time_limit_ms: u32) -> Engine {
        engine.with_time_limit(time(time_limit_ms)).with_ack(match self {
            Self::Written => Ack::Written,
            Self::Durable => Ack::Durable,
        })
    }
}

impl From<Rows> for RowsAnswer {
    fn from(rows: Rows) -> Self {
        let values = |row: Vec<tallybook_sqlite::Value>| row.iter().map(tallybook_sqlite::to_json).collect();
        Self { columns: rows.columns, rows: rows.rows.into_iter().map(values).collect(), more: rows.more }
    }
}

impl From<tallybook_sqlite::Executed> for ExecutedAnswer {
    fn from(done: tallybook_sqlite::Executed) -> Self {
        Self { rows: done.rows, last_insert_rowid: done.last_insert_rowid }
    }
}

impl From<tallybook_sqlite::Answer> for StepAnswer {
    fn from(answer: tallybook_sqlite::Answer) -> Self {
        match answer {
            tallybook_sqlite::Answer::Executed(done) => Self::Executed(done.into()),
            tallybook_sqlite::Answer::Rows(rows) => Self::Rows(rows.into()),
        }
    }
}
