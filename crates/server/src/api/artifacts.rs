//! `executions/{id}/artifacts/{artifact}`: contents of artifacts, up and down.

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::TryStreamExt as _;
use tallybook_core::{Artifact, Condition, Execution, Query, StoreExt as _, Value};
use tallybook_runner::{ArtifactError, Artifacts};
use tokio_util::io::{StreamReader, SyncIoBridge};
use tower::ServiceExt as _;
use tower_http::services::ServeFile;
use utoipa::OpenApi;

use super::Api;
use super::error::{ApiError, BodyFailures, ErrorBody, Failures, Missing};

/// The addresses, below `/api/v1`.
pub(super) fn router() -> Router<Api> {
    Router::new().route("/executions/{id}/artifacts/{artifact}", get(download).put(upload))
}

/// Their part of the OpenAPI document.
#[derive(OpenApi)]
#[openapi(paths(download, upload))]
pub(super) struct Document;

type Named<T> = Result<Path<(String, T)>, PathRejection>;

/// The content of an artifact by its index in the list; with `Range`, a part of it.
#[utoipa::path(get, operation_id = "download_artifact", path = "/api/v1/executions/{id}/artifacts/{artifact}", tag = "executions",
    params(("id" = String, Path), ("artifact" = u64, Path)),
    responses((status = 200, content_type = "application/octet-stream", description = "The content"),
        (status = 206, content_type = "application/octet-stream", description = "A part of the content"),
        (status = 416, description = "There is no such part"), Failures, Missing))]
pub(crate) async fn download(
    State(api): State<Api>,
    named: Named<u64>,
    request: Request,
) -> Result<Response, ApiError> {
    let Path((id, index)) = named.map_err(|_| ApiError::invalid_path("an artifact is named by its index"))?;
    let missing = || ApiError::not_found(format!("there is no artifact {index} of the execution `{id}`"));
    let query = Query::new(1)
        .filter(Condition::Equals("execution", id.as_str().into()))
        .filter(Condition::AtLeast("artifact_index", Value::Int(index as i64)))
        .filter(Condition::AtMost("artifact_index", Value::Int(index as i64)));
    let artifact = api.store.list::<Artifact>(&query).await?.items.pop().ok_or_else(missing)?;
    let path = artifact.stored.as_ref().and_then(|_| folder(&api).ok()?.path(&artifact.sha256)).ok_or_else(missing)?;
    let mut response = match ServeFile::new(path).oneshot(request).await {
        Ok(response) => response.map(Body::new).into_response(),
        Err(never) => match never {},
    };
    if response.status() == StatusCode::NOT_FOUND {
        return Err(missing());
    }
    let headers = response.headers_mut();
    if let Ok(mime) = HeaderValue::from_str(&artifact.mime) {
        headers.insert(header::CONTENT_TYPE, mime);
    }
    // Names that a header cannot hold are left out.
    let name: String = artifact.path.rsplit('/').next().unwrap_or_default().chars().filter(|c| is_plain(*c)).collect();
    let extension = if artifact.kind == tallybook_core::ArtifactKind::Folder { ".tar.zst" } else { "" };
    if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename=\"{name}{extension}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._- ".contains(c)
}

/// Keeps the content of an artifact under its SHA-256, before the event that names it. One that no execution names is removed
/// after a day.
#[utoipa::path(put, operation_id = "upload_artifact", path = "/api/v1/executions/{id}/artifacts/{artifact}", tag = "executions",
    params(("id" = String, Path), ("artifact" = String, Path, description = "SHA-256 of the content, in hexadecimal")),
    request_body(content((String = "application/octet-stream"))),
    responses((status = 204), (status = 409, description = "It is another content", body = ErrorBody), Failures, BodyFailures, Missing))]
pub(crate) async fn upload(State(api): State<Api>, named: Named<String>, body: Body) -> Result<StatusCode, ApiError> {
    let invalid = |why: &str| ApiError::invalid_path(why);
    let Path((id, sha256)) = named.map_err(|_| invalid("an artifact is named by its SHA-256"))?;
    if let Some(defect) = Execution::id_defect(&id) {
        return Err(invalid(defect));
    }
    let folder = folder(&api)?.clone();
    if folder.path(&sha256).is_none() {
        return Err(invalid("an artifact is named by its SHA-256, 64 hexadecimal digits in small letters"));
    }
    let stream = StreamReader::new(body.into_data_stream().map_err(std::io::Error::other));
    let mut source = SyncIoBridge::new(Box::pin(stream));
    let kept = tokio::task::spawn_blocking(move || folder.take_expected(&mut source, &sha256)).await;
    match kept.map_err(|_| ApiError::internal())? {
        Ok(_) => Ok(StatusCode::NO_CONTENT),
        Err(ArtifactError::TooLarge { limit, .. }) => Err(ApiError::body_too_large(limit)),
        Err(error @ ArtifactError::Different { .. }) => Err(ApiError::conflict(error.to_string())),
        Err(error) => {
            tracing::error!(%error, "an artifact could not be kept");
            Err(ApiError::internal())
        }
    }
}

fn folder(api: &Api) -> Result<&Artifacts, ApiError> {
    api.artifacts.as_ref().ok_or_else(|| ApiError::not_found("this server keeps no artifacts: it has no data folder"))
}
