//! An execution as it is shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use tallybook_core::{Execution, ExecutionStatus, Json, Timestamp};
use utoipa::ToSchema;

use crate::api::schema;

/// One run of a command.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Execution)]
pub(crate) struct ExecutionItem {
    /// A UUID.
    id: Arc<str>,
    name: Arc<str>,
    /// The program and its arguments.
    #[schema(value_type = Vec<String>)]
    command: Json<Vec<String>>,
    working_directory: Option<Arc<str>>,
    #[schema(schema_with = schema::execution_status)]
    status: ExecutionStatus,
    exit_code: Option<i64>,
    error_message: Option<Arc<str>>,
    #[schema(schema_with = schema::time)]
    created_at: Timestamp,
    #[schema(schema_with = schema::nullable_time)]
    started_at: Option<Timestamp>,
    #[schema(schema_with = schema::nullable_time)]
    completed_at: Option<Timestamp>,
    /// How long it ran, in milliseconds, once it has ended.
    duration_ms: Option<f64>,
    /// The variables that were allowed to be recorded.
    #[schema(value_type = BTreeMap<String, String>)]
    environment: Json<BTreeMap<String, String>>,
    user_name: Option<Arc<str>>,
    host: Option<Arc<str>>,
    #[schema(value_type = BTreeMap<String, String>)]
    tags: Json<BTreeMap<String, String>>,
    /// What it said of itself.
    #[schema(value_type = BTreeMap<String, String>)]
    metadata: Json<BTreeMap<String, String>>,
    total_steps: u64,
    completed_steps: u64,
    /// The open step that began last, counted from 0.
    current_step_index: Option<u64>,
    /// Lines of output; up to a second late while it runs.
    lines: u64,
    #[schema(schema_with = schema::nullable_time)]
    expires_at: Option<Timestamp>,
}

impl From<Execution> for ExecutionItem {
    fn from(execution: Execution) -> Self {
        Self {
            id: execution.id,
            name: execution.name,
            command: execution.command,
            working_directory: execution.working_directory,
            status: execution.status,
            exit_code: execution.exit_code,
            error_message: execution.error_message,
            created_at: execution.created_at,
            started_at: execution.started_at,
            completed_at: execution.completed_at,
            duration_ms: execution.duration.map(milliseconds),
            environment: execution.environment,
            user_name: execution.user_name,
            host: execution.host,
            tags: execution.tags,
            metadata: execution.metadata,
            total_steps: execution.total_steps,
            completed_steps: execution.completed_steps,
            current_step_index: execution.current_step_index,
            lines: execution.lines,
            expires_at: execution.expires_at,
        }
    }
}

pub(super) fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}
