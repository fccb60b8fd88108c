//! `tallybook prune`: removes what is older than it should be, or says what that would be.

use std::collections::HashSet;

use anyhow::Result;
use bytesize::ByteSize;
use clap::Args;
use comfy_table::{CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use serde_json::json;
use tallybook_core::{Execution, Record as _, Segment, Store, StoreExt as _, Timestamp};
use tallybook_runner::{ArtifactLimits, Artifacts, Spool, Swept};
use tallybook_writer::{OldRows, RetentionPlan};

use crate::run::clean;
use crate::serve::writer_options;
use crate::settings::Settings;
use crate::with_store::{day_of, with_store};

/// Rows of a page.
const PAGE: usize = 1_000;

/// What is removed.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    settings: Settings,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Removes what the settings `KEEP_…` say, table by table, then whole days of ticks, then contents of artifacts that nothing
/// names any more.
pub(crate) fn run(options: &Options) -> Result<()> {
    let retention = writer_options(&options.settings).retention;
    with_store(&options.settings, "tallybook prune", async |store| {
        let plan = RetentionPlan::of(store, &retention, Timestamp::now()).await?;
        let (mut rows, mut going) = (Vec::new(), HashSet::new());
        for old in &plan.rows {
            let count = old.count(store).await?;
            if !options.dry_run && count > 0 {
                old.remove(store, &retention, |_| {}).await?;
            } else if let Some(query) = old.query(PAGE).filter(|_| old.table.name == Execution::TABLE.name) {
                going.extend(store.list_all::<Execution>(query).await?.into_iter().map(|execution| execution.id));
            }
            rows.push((old, count));
        }
        if !options.dry_run {
            remove_days(store, &plan.drop).await?;
        }
        let data_dir = &options.settings.store.data_dir;
        let artifacts = Artifacts::of(data_dir, ArtifactLimits::default());
        let swept = clean(store, &artifacts, &Spool::of(data_dir), &going, options.dry_run).await?;
        if options.json {
            println!("{}", serde_json::to_string_pretty(&as_json(options.dry_run, &rows, &plan, swept))?);
        } else {
            show(options.dry_run, &rows, &plan, swept);
        }
        Ok(())
    })
}

async fn remove_days(store: &dyn Store, days: &[Segment]) -> Result<()> {
    for segment in days {
        store.drop_segment(segment.day).await?;
    }
    Ok(())
}

fn show(dry_run: bool, rows: &[(&OldRows, u64)], plan: &RetentionPlan, swept: Swept) {
    let mut table = Table::new();
    let heading = if dry_run { "would be removed" } else { "removed" };
    table.load_preset(UTF8_BORDERS_ONLY).set_header(["what", "from before", heading]);
    if let Some(column) = table.column_mut(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for (old, count) in rows.iter().filter(|(_, count)| *count > 0) {
        let what = old.of().map_or_else(|| old.table.name.to_owned(), |of| format!("{} by {of}", old.table.name));
        table.add_row([what, old.before.to_string(), format!("{count} rows")]);
    }
    for segment in &plan.drop {
        let what = format!("{} ticks, {}", segment.count, ByteSize(segment.bytes));
        table.add_row([format!("ticks of {}", day_of(segment.day)), String::new(), what]);
    }
    if swept.artifacts > 0 {
        let what = format!("{}, {}", swept.artifacts, ByteSize(swept.bytes));
        table.add_row(["contents of artifacts".to_owned(), String::new(), what]);
    }
    if table.is_empty() {
        println!("nothing is too old");
    } else {
        println!("{table}");
    }
    if !plan.seal.is_empty() {
        eprintln!("{} days of ticks are old enough to be sealed: `tallybook seal`", plan.seal.len());
    }
}

fn as_json(dry_run: bool, rows: &[(&OldRows, u64)], plan: &RetentionPlan, swept: Swept) -> serde_json::Value {
    let rows: Vec<_> = rows
        .iter()
        .map(|(old, count)| json!({ "table": old.table.name, "of": old.of(), "before": old.before, "rows": count }))
        .collect();
    let days: Vec<_> =
        plan.drop.iter().map(|day| json!({ "day": day_of(day.day), "ticks": day.count, "bytes": day.bytes })).collect();
    let contents = json!({ "artifacts": swept.artifacts, "bytes": swept.bytes });
    json!({ "dry_run": dry_run, "rows": rows, "days": days, "contents": contents })
}
