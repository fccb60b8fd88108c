//! A tracker of an execution that a store knows.

use super::{Annotation, Artifact, Execution, LogChunk, Step, Tracker};
use crate::{Condition, Query, Result, Store, StoreExt};

/// Rows of a page while parts are read.
const PAGE_ROWS: usize = 1_000;

impl Tracker {
    /// Goes on with an execution as it stands in the store; `None` where the store does not know it.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn load(store: &dyn Store, id: &str) -> Result<Option<Self>> {
        let by = |column, limit| Query::new(limit).filter(Condition::Equals(column, id.into()));
        let last = |key| by("execution", 1).sort(key, true);
        let Some(execution) = store.list::<Execution>(&by("id", 1)).await?.items.pop() else { return Ok(None) };
        let steps = store.list_all::<Step>(by("execution", PAGE_ROWS)).await?;
        let chunk = store.list::<LogChunk>(&last("first_line")).await?.items.pop();
        let annotation = store.list::<Annotation>(&last("annotation_index")).await?.items.pop();
        let artifact = store.list::<Artifact>(&last("artifact_index")).await?.items.pop();
        let annotations = annotation.map_or(0, |last| last.annotation_index + 1);
        let artifacts = artifact.map_or(0, |last| last.artifact_index + 1);
        Ok(Some(Self::resume(execution, steps, annotations, artifacts, chunk.as_ref())))
    }
}
