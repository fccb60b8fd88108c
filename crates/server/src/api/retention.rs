//! `retention`: what is too old, before it goes.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tallybook_core::Timestamp;
use tallybook_writer::RetentionPlan;
use utoipa::ToSchema;

use super::Api;
use super::error::{ApiError, Failures};
use super::params::{NoParams, Params};
use super::schema;
use super::ticks::symbols::SegmentItem;

/// What the next round removes and seals.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Retention)]
pub(crate) struct RetentionBody {
    /// Rows that go, by table and, where a table has several, by length.
    rows: Vec<OldRowsBody>,
    /// Days of ticks that go.
    remove: Vec<SegmentItem>,
    /// Days of ticks that are sealed, where the store can.
    seal: Vec<SegmentItem>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OldRows)]
struct OldRowsBody {
    #[schema(example = "ping_bucket")]
    table: &'static str,
    /// Of a table of sums, which of them.
    #[schema(example = "minute")]
    of: Option<String>,
    /// Rows before this moment go.
    #[schema(schema_with = schema::time)]
    before: Timestamp,
    /// So many.
    rows: u64,
}

/// What is too old, counted: the next round of the retention, which comes every hour, removes and seals this. Changes
/// nothing.
#[utoipa::path(
    get, operation_id = "get_retention", path = "/api/v1/retention", tag = "server",
    responses((status = 200, description = "The next round", body = RetentionBody), Failures)
)]
pub(crate) async fn get(
    State(api): State<Api>,
    Params(NoParams {}): Params<NoParams>,
) -> Result<Json<RetentionBody>, ApiError> {
    let _turn = api.scans.acquire().await;
    let plan = RetentionPlan::of(&*api.store, api.writer.retention(), Timestamp::now()).await?;
    let mut rows = Vec::new();
    for old in &plan.rows {
        rows.push(OldRowsBody {
            table: old.table.name,
            of: old.of().map(str::to_owned),
            before: old.before,
            rows: old.count(&*api.store).await?,
        });
    }
    let items = |days: Vec<tallybook_core::Segment>| days.into_iter().map(SegmentItem::from).collect();
    Ok(Json(RetentionBody { rows, remove: items(plan.drop), seal: items(plan.seal) }))
}
