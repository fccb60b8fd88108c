//! `executions/{id}/steps`, `…/annotations` and `…/artifacts`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tallybook_core::{
    Annotation, AnnotationLevel, Artifact, ArtifactKind, Condition, Execution, ExecutionStatus, Query, Record, Step,
    StoreExt, Timestamp,
};
use utoipa::ToSchema;

use super::item::milliseconds;
use crate::api::Api;
use crate::api::error::{ApiError, Failures, Missing};
use crate::api::params::{Name, NoParams, Params};
use crate::api::schema;

/// Rows that are read at once; an execution has at most [`Execution::MAX_PARTS`].
const PAGE_ROWS: usize = 1_000;

/// All of them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct All<T> {
    data: Vec<T>,
    total: u64,
}

/// A part of an execution.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Step)]
pub(crate) struct StepItem {
    /// Which of the steps, in the order in which they began, counted from 0.
    index: u64,
    /// The step it is nested in.
    parent: Option<u64>,
    name: Arc<str>,
    #[schema(schema_with = schema::execution_status)]
    status: ExecutionStatus,
    /// What it was started with.
    #[schema(value_type = Object)]
    parameters: tallybook_core::Json<serde_json::Map<String, serde_json::Value>>,
    /// Whether the execution ends when it fails.
    stop_on_error: bool,
    /// How long it should take.
    expected_duration_ms: Option<f64>,
    error_message: Option<Arc<str>>,
    #[schema(schema_with = schema::time)]
    started_at: Timestamp,
    #[schema(schema_with = schema::nullable_time)]
    completed_at: Option<Timestamp>,
    duration_ms: Option<f64>,
    /// The first line that could be its own.
    first_line: u64,
    /// The last line before its end.
    last_line: Option<u64>,
}

/// An error or a warning that an execution pointed out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Annotation)]
pub(crate) struct AnnotationItem {
    index: u64,
    #[schema(schema_with = schema::annotation_level)]
    level: AnnotationLevel,
    message: Arc<str>,
    /// The step that was current.
    step: Option<u64>,
    /// The last line before it.
    line: u64,
    #[schema(schema_with = schema::time)]
    created_at: Timestamp,
}

/// A file or a folder that an execution left.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Artifact)]
pub(crate) struct ArtifactItem {
    index: u64,
    /// Where it lay, as the execution named it.
    path: Arc<str>,
    description: Option<Arc<str>>,
    /// A folder is stored as one `.tar.zst`.
    #[schema(schema_with = schema::artifact_kind)]
    kind: ArtifactKind,
    /// Bytes that are stored.
    size: u64,
    sha256: Arc<str>,
    mime_type: Arc<str>,
    #[schema(schema_with = schema::time)]
    created_at: Timestamp,
    #[schema(schema_with = schema::nullable_time)]
    expires_at: Option<Timestamp>,
}

impl From<Step> for StepItem {
    fn from(step: Step) -> Self {
        Self {
            index: step.step_index,
            parent: step.parent,
            name: step.name,
            status: step.status,
            parameters: step.parameters,
            stop_on_error: step.stop_on_error,
            expected_duration_ms: step.expected_duration.map(milliseconds),
            error_message: step.error_message,
            started_at: step.started_at,
            completed_at: step.completed_at,
            duration_ms: step.duration.map(milliseconds),
            first_line: step.first_line,
            last_line: step.last_line,
        }
    }
}

impl From<Annotation> for AnnotationItem {
    fn from(annotation: Annotation) -> Self {
        let Annotation { execution: _, annotation_index, level, message, step, line, created_at } = annotation;
        Self { index: annotation_index, level, message, step, line, created_at }
    }
}

impl From<Artifact> for ArtifactItem {
    fn from(artifact: Artifact) -> Self {
        Self {
            index: artifact.artifact_index,
            path: artifact.path,
            description: artifact.description,
            kind: artifact.kind,
            size: artifact.size,
            sha256: artifact.sha256,
            mime_type: artifact.mime,
            created_at: artifact.created_at,
            expires_at: artifact.expires_at,
        }
    }
}

async fn parts<R: Record, T: From<R>>(api: &Api, id: &str) -> Result<Json<All<T>>, ApiError> {
    let Execution { id, .. } = api.execution(id).await?;
    let query = Query::new(PAGE_ROWS).filter(Condition::Equals("execution", (&*id).into()));
    let data: Vec<T> = api.store.list_all::<R>(query).await?.into_iter().map(T::from).collect();
    Ok(Json(All { total: data.len() as u64, data }))
}

/// The steps of an execution, in the order in which they began.
#[utoipa::path(get, operation_id = "list_steps", path = "/api/v1/executions/{id}/steps", tag = "executions",
    params(("id" = String, Path)), responses((status = 200, body = All<StepItem>), Failures, Missing))]
pub(crate) async fn steps(
    State(api): State<Api>,
    Name(id): Name,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<All<StepItem>>, ApiError> {
    parts::<Step, _>(&api, &id).await
}

/// The errors and warnings of an execution, in their order.
#[utoipa::path(get, operation_id = "list_annotations", path = "/api/v1/executions/{id}/annotations", tag = "executions",
    params(("id" = String, Path)), responses((status = 200, body = All<AnnotationItem>), Failures, Missing))]
pub(crate) async fn annotations(
    State(api): State<Api>,
    Name(id): Name,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<All<AnnotationItem>>, ApiError> {
    parts::<Annotation, _>(&api, &id).await
}

/// The artifacts of an execution, in their order.
#[utoipa::path(get, operation_id = "list_artifacts", path = "/api/v1/executions/{id}/artifacts", tag = "executions",
    params(("id" = String, Path)), responses((status = 200, body = All<ArtifactItem>), Failures, Missing))]
pub(crate) async fn artifacts(
    State(api): State<Api>,
    Name(id): Name,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<All<ArtifactItem>>, ApiError> {
    parts::<Artifact, _>(&api, &id).await
}
