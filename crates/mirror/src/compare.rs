//! Whether two sides hold the same, record by record.

use std::collections::BTreeMap;

use serde::Serialize;
use tallybook_core::{Readback, Result, TABLES, Timestamp};

use crate::rows::{Compared, Records, TableRows, Ticks};

/// The name under which ticks are compared; all others are those of tables.
const TICKS: &str = "tick";
/// Records between two reports of how far it is.
const REPORT_EVERY: u64 = 10_000;

/// What records come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// How many there are.
    pub records: u64,
    /// The sum of the hashes of their keys, numbers, texts and sketches, modulo 2^64.
    pub checksum: u64,
}

/// One UTC day of a table on both sides; a table whose rows have no day has one without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DayComparison {
    /// The day's first moment.
    pub day: Option<Timestamp>,
    /// What is there.
    pub from: Sum,
    /// What is here.
    pub to: Sum,
}

/// One table on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableComparison {
    /// Its name; `tick` for the ticks.
    pub table: &'static str,
    /// By day.
    pub days: Vec<DayComparison>,
    /// Records that one side lacks or that differ.
    pub differences: u64,
}

/// What is wrong with one record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// It is only in the first.
    Missing,
    /// It is only in the second.
    Extra,
    /// A field differs.
    Differs {
        /// Its name.
        field: &'static str,
        /// In the first.
        from: String,
        /// In the second.
        to: String,
    },
}

/// A record that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its table.
    pub table: &'static str,
    /// Its key, as text.
    pub key: String,
    /// What is wrong.
    #[serde(flatten)]
    pub finding: Finding,
}

/// What a comparison came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Every table, in the order in which changes are listed, then the ticks.
    pub tables: Vec<TableComparison>,
    /// The first that were found.
    pub first_differences: Vec<Difference>,
}

impl Comparison {
    /// Records that one side lacks or that differ.
    pub fn differences(&self) -> u64 {
        self.tables.iter().map(|table| table.differences).sum()
    }
}

/// Compares all there is in `from` and `to`, and keeps the first `max_differences`. `look` hears how many records have been
/// compared. Nobody should write meanwhile: what changes between two reads is found as a difference.
///
/// # Errors
/// What the one or the other answered.
pub async fn compare<A: Readback + ?Sized, B: Readback + ?Sized>(
    from: &A,
    to: &B,
    max_differences: usize,
    look: impl FnMut(u64),
) -> Result<Comparison> {
    let mut work = Work { comparison: Comparison::default(), max_differences, compared: 0, look };
    for table in TABLES {
        work.table(table.name, TableRows::new(from, table), TableRows::new(to, table)).await?;
    }
    work.table(TICKS, Ticks::new(from).await?, Ticks::new(to).await?).await?;
    (work.look)(work.compared);
    Ok(work.comparison)
}

struct Work<L> {
    comparison: Comparison,
    max_differences: usize,
    compared: u64,
    look: L,
}

type Days = BTreeMap<Option<Timestamp>, (Sum, Sum)>;

impl<L: FnMut(u64)> Work<L> {
    async fn table<A: Records, B: Records<Record = A::Record>>(
        &mut self,
        table: &'static str,
        mut from: A,
        mut to: B,
    ) -> Result<()> {
        let mut days = Days::new();
        let mut differences = 0;
        let (mut left, mut right) = (from.next().await?, to.next().await?);
        loop {
            let order = match (&left, &right) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(left), Some(right)) => left.key().cmp(&right.key()),
            };
            if let Some(record) = left.as_ref().filter(|_| order.is_le()) {
                add(&mut days.entry(record.day()).or_default().0, record);
            }
            if let Some(record) = right.as_ref().filter(|_| order.is_ge()) {
                add(&mut days.entry(record.day()).or_default().1, record);
            }
            if order.is_ne() || left != right {
                differences += 1;
                self.note(table, left.as_ref().filter(|_| order.is_le()), right.as_ref().filter(|_| order.is_ge()));
            }
            self.compared += 1;
            if self.compared.is_multiple_of(REPORT_EVERY) {
                (self.look)(self.compared);
            }
            if order.is_le() {
                left = from.next().await?;
            }
            if order.is_ge() {
                right = to.next().await?;
            }
        }
        let days = days.into_iter().map(|(day, (from, to))| DayComparison { day, from, to }).collect();
        self.comparison.tables.push(TableComparison { table, days, differences });
        Ok(())
    }

    /// Keeps what is wrong with a record, where there is room.
    fn note<R: Compared>(&mut self, table: &'static str, left: Option<&R>, right: Option<&R>) {
        let found: Vec<(String, Finding)> = match (left, right) {
            (Some(left), Some(right)) => {
                let both = left.fields().into_iter().zip(right.fields()).filter(|(from, to)| from != to);
                let differs = |((field, from), (_, to))| (left.key_text(), Finding::Differs { field, from, to });
                both.map(differs).collect()
            }
            (Some(left), None) => vec![(left.key_text(), Finding::Missing)],
            (None, Some(right)) => vec![(right.key_text(), Finding::Extra)],
            (None, None) => Vec::new(),
        };
        for (key, finding) in found {
            if self.comparison.first_differences.len() < self.max_differences {
                self.comparison.first_differences.push(Difference { table, key, finding });
            }
        }
    }
}

fn add<R: Compared>(sum: &mut Sum, record: &R) {
    sum.records += 1;
    sum.checksum = sum.checksum.wrapping_add(record.hash());
}
