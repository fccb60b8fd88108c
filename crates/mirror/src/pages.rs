//! How long the pages are: few bytes at a time, however large rows are.

use tallybook_core::{Changes, Value};

/// What a page should come to in memory. Two of them are there at a time.
const PAGE_BYTES: usize = 16 << 20;
const MIN_ROWS: usize = 500;
const MAX_ROWS: usize = 50_000;
const FIRST_ROWS: usize = 4_000;
/// A page is at most so many times as long as the one before: rows after ticks are larger.
const GROWTH: usize = 4;

/// A tick with its names.
const TICK_BYTES: usize = 160;
const VALUE_BYTES: usize = 24;
/// A sketch with all its registers.
const SUMMARY_BYTES: usize = 2_048;

/// The length of the next page, learnt from the last one.
#[derive(Debug)]
pub(crate) struct PageLength(usize);

impl PageLength {
    pub(crate) fn new() -> Self {
        Self(FIRST_ROWS)
    }

    pub(crate) fn rows(&self) -> usize {
        self.0
    }

    pub(crate) fn learn(&mut self, page: &Changes) {
        let rows = page.changes.len() + page.ticks.len();
        if rows == 0 {
            return;
        }
        let bytes_of_row = (bytes(page) / rows).max(1);
        self.0 = (PAGE_BYTES / bytes_of_row).min(self.0 * GROWTH).clamp(MIN_ROWS, MAX_ROWS);
    }
}

/// About what the page takes in memory.
fn bytes(page: &Changes) -> usize {
    let of_value = |value: &Value| match value {
        Value::Text(text) => VALUE_BYTES + text.len(),
        Value::Bytes(bytes) => VALUE_BYTES + bytes.len(),
        Value::Sketch(_) | Value::Histogram(_) => SUMMARY_BYTES,
        _ => VALUE_BYTES,
    };
    let rows: usize = page.changes.iter().flat_map(|change| &change.row).map(of_value).sum();
    rows + page.ticks.len() * TICK_BYTES
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tallybook_core::{Change, Cursor, Service, Tick, Timestamp};

    use super::*;
    use tallybook_core::Record as _;

    fn page(rows: usize, ticks: usize, value: &Value) -> Changes {
        let change = Change { table: Service::TABLE, revision: 1, row: vec![value.clone()] };
        let tick = Tick::new("A", Timestamp(1), None, None);
        Changes { changes: vec![change; rows], ticks: vec![tick; ticks], next: Cursor::START, more: true }
    }

    #[test]
    fn pages_of_ticks_grow_and_pages_of_sketches_shrink() {
        let mut length = PageLength::new();
        for _ in 0..5 {
            length.learn(&page(0, 1000, &Value::Null));
        }
        assert_eq!(length.rows(), MAX_ROWS);
        length.learn(&page(10, 0, &Value::Sketch(Arc::default())));
        assert_eq!(length.rows(), PAGE_BYTES / SUMMARY_BYTES);
        length.learn(&page(10, 0, &Value::from("x".repeat(1 << 20).as_str())));
        assert_eq!(length.rows(), MIN_ROWS);
        length.learn(&page(0, 0, &Value::Null));
        assert_eq!(length.rows(), MIN_ROWS, "an empty page says nothing");
    }
}
