//! Whether two places hold the same, record by record: for `verify --from --to` and `migrate --verify`.

use anyhow::{Context as _, Result};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use indicatif::HumanCount;
use tallybook_backends::Place;
use tallybook_core::Readback;
use tallybook_mirror::{Comparison, DayComparison, Finding, Sum, TableComparison, compare};

use crate::migrate::Bar;
use crate::with_store::day_of;

const HOLDER: &str = "tallybook verify";

/// How many differences are shown.
pub(crate) const SHOWN: usize = 20;

/// Compares two places, prints what that came to and says whether both hold the same.
pub(crate) async fn places(from_place: &Place, to_place: &Place, json: bool) -> Result<bool> {
    let from = from_place.open_existing(HOLDER).await.with_context(|| format!("--from {from_place}"))?;
    let to = to_place.open_existing(HOLDER).await.with_context(|| format!("--to {to_place}"))?;
    let same = compare_and_print(&*from, &*to, json).await;
    let released = (from.release().await, to.release().await);
    let same = same?;
    released.0?;
    released.1?;
    Ok(same)
}

/// Says whether both hold the same.
pub(crate) async fn compare_and_print(
    from: &(impl Readback + ?Sized),
    to: &(impl Readback + ?Sized),
    json: bool,
) -> Result<bool> {
    let bar = Bar::new(0, "comparing");
    let comparison = compare(from, to, SHOWN, |records| {
        bar.bar.set_length(records);
        bar.bar.set_position(records);
    });
    let comparison = comparison.await?;
    bar.bar.finish_and_clear();
    let same = comparison.differences() == 0;
    if json {
        println!("{}", serde_json::to_string_pretty(&comparison)?);
    } else {
        print(&comparison);
    }
    Ok(same)
}

fn print(comparison: &Comparison) {
    let mut table = new_table(["table", "day", "records from", "records to", "checksum from", "checksum to", "same"]);
    for TableComparison { table: name, days, differences } in &comparison.tables {
        let all = |side: fn(&DayComparison) -> Sum| {
            days.iter().map(side).fold(Sum::default(), |sum, day| Sum {
                records: sum.records + day.records,
                checksum: sum.checksum.wrapping_add(day.checksum),
            })
        };
        let (from, to) = (all(|day| day.from), all(|day| day.to));
        if from.records + to.records == 0 {
            continue;
        }
        let same = if *differences == 0 { "yes".to_owned() } else { format!("no: {}", HumanCount(*differences)) };
        add(&mut table, name, "", from, to, &same);
        // Days that are the same say nothing.
        for day in days.iter().filter(|day| day.day.is_some() && day.from != day.to) {
            let date = day.day.map(day_of).unwrap_or_default();
            add(&mut table, "", &date, day.from, day.to, "no");
        }
    }
    for at in 2..=5 {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!("{table}");
    if comparison.first_differences.is_empty() {
        println!("both hold the same");
        return;
    }
    let mut first = new_table(["table", "key", "field", "from", "to"]);
    for difference in &comparison.first_differences {
        let (field, from, to) = match &difference.finding {
            Finding::Missing => ("", "is there", "is not there"),
            Finding::Extra => ("", "is not there", "is there"),
            Finding::Differs { field, from, to } => (*field, from.as_str(), to.as_str()),
        };
        first.add_row([difference.table, difference.key.as_str(), field, from, to]);
    }
    println!("The first differences:\n{first}");
    println!("{} records differ", HumanCount(comparison.differences()));
}

fn add(table: &mut Table, name: &str, day: &str, from: Sum, to: Sum, same: &str) {
    table.add_row([
        name,
        day,
        &HumanCount(from.records).to_string(),
        &HumanCount(to.records).to_string(),
        &format!("{:016x}", from.checksum),
        &format!("{:016x}", to.checksum),
        same,
    ]);
}

fn new_table<const N: usize>(heading: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic).set_header(heading);
    table
}
