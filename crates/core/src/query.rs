//! What is read: a filter, an order and a page of one table, as data.
//!
//! A backend turns a [`Query`] into one indexed scan; [`Query::apply`] is the definition, and the memory store calls it.

use std::cmp::Ordering;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::{Error, Record, Result, Row, Table, Value};

/// A condition on one column. Column names come from the code, never from a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// The column is this value.
    Equals(&'static str, Value),
    /// The column is another value than this one.
    Differs(&'static str, Value),
    /// The column is one of these values.
    In(&'static str, Vec<Value>),
    /// The column is this value or a greater one; null never is.
    AtLeast(&'static str, Value),
    /// The column is this value or a smaller one; null never is.
    AtMost(&'static str, Value),
    /// The text holds this one, ASCII letters in any case.
    Contains(&'static str, String),
    /// The text, or JSON as it was written, holds this one, byte by byte.
    ContainsExactly(&'static str, String),
}

impl Condition {
    /// The column it looks at.
    pub fn column(&self) -> &'static str {
        match self {
            Self::Equals(column, _)
            | Self::Differs(column, _)
            | Self::In(column, _)
            | Self::AtLeast(column, _)
            | Self::AtMost(column, _)
            | Self::Contains(column, _)
            | Self::ContainsExactly(column, _) => column,
        }
    }

    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Equals(_, wanted) => value == wanted,
            Self::Differs(_, unwanted) => value != unwanted,
            Self::In(_, wanted) => wanted.contains(value),
            Self::AtLeast(_, least) => *value != Value::Null && value >= least,
            Self::AtMost(_, most) => *value != Value::Null && value <= most,
            Self::Contains(_, part) => {
                value.as_text().is_some_and(|text| text.to_ascii_lowercase().contains(&part.to_ascii_lowercase()))
            }
            Self::ContainsExactly(_, part) => value.as_text().is_some_and(|text| text.contains(part.as_str())),
        }
    }
}

/// The order of a list: a column that is never null, then the key, all in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// The column; `None` sorts by the key alone.
    pub column: Option<&'static str>,
    /// From the greatest to the smallest.
    pub descending: bool,
}

/// The place of a row in a sorted list: its sort value and key. A page goes on behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Position(Vec<Value>);

/// A filter, an order and a page of one table.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// All of them hold.
    pub conditions: Vec<Condition>,
    /// The order.
    pub sort: Sort,
    /// Rows behind this one only.
    pub after: Option<Position>,
    /// Rows to pass over.
    pub offset: u64,
    /// Rows at the most.
    pub limit: usize,
    /// Whether to count all rows that fit the conditions.
    pub total: bool,
    /// Whether sketches are wanted; otherwise they come back empty, which saves reading them.
    pub sketches: bool,
}

/// A page of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct RowPage {
    /// The rows.
    pub rows: Vec<Row>,
    /// All rows that fit the conditions, where asked for.
    pub total: Option<u64>,
    /// Behind the last row; `None` at the end of the list.
    pub next: Option<Position>,
}

/// A page of records.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<R> {
    /// The records.
    pub items: Vec<R>,
    /// All records that fit the conditions, where asked for.
    pub total: Option<u64>,
    /// Behind the last one; `None` at the end of the list.
    pub next: Option<Position>,
}

impl Position {
    /// Behind the row with this key, in the order of the key.
    pub fn of_key(table: &Table, key: &[Value]) -> Self {
        Self(key.iter().take(table.key_len()).cloned().collect())
    }

    /// The sort value (where the list has a sort column) and the key.
    pub fn values(&self) -> &[Value] {
        &self.0
    }

    /// An opaque token for clients.
    pub fn token(&self) -> String {
        let values: Vec<serde_json::Value> = self.0.iter().map(Value::to_json).collect();
        URL_SAFE_NO_PAD.encode(serde_json::Value::from(values).to_string())
    }

    /// Reads a token back; `None` when it is not one.
    pub fn parse(token: &str) -> Option<Self> {
        let values: Vec<serde_json::Value> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let value = |json: serde_json::Value| match json {
            serde_json::Value::Number(number) => number.as_i64().map(Value::Int),
            serde_json::Value::String(text) => Some(Value::Text(text.into())),
            _ => None,
        };
        values.into_iter().map(value).collect::<Option<_>>().map(Self)
    }
}

impl Query {
    /// Everything in the order of the key, `limit` rows a page.
    pub fn new(limit: usize) -> Self {
        Self {
            conditions: Vec::new(),
            sort: Sort { column: None, descending: false },
            after: None,
            offset: 0,
            limit,
            total: false,
            sketches: false,
        }
    }

    /// Adds a condition.
    pub fn filter(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Sorts by a column that is never null.
    pub fn sort(mut self, column: &'static str, descending: bool) -> Self {
        self.sort = Sort { column: Some(column), descending };
        self
    }

    /// Reads sketches, too.
    pub fn with_sketches(mut self) -> Self {
        self.sketches = true;
        self
    }

    /// The places of the columns that order the list: the sort column, then the key.
    ///
    /// # Errors
    /// `Invalid` when a column is not in the table, or the position is not one of this list.
    pub fn check(&self, table: &Table) -> Result<Vec<usize>> {
        let place = |column: &'static str| {
            table
                .position(column)
                .ok_or_else(|| Error::invalid("reading a list", format!("`{}` has no column `{column}`", table.name)))
        };
        for condition in &self.conditions {
            place(condition.column())?;
        }
        let mut order = Vec::with_capacity(table.key_len() + 1);
        if let Some(column) = self.sort.column {
            order.push(place(column)?);
        }
        order.extend(0..table.key_len());
        if let Some(Position(values)) = &self.after {
            let fits = |(&at, value): (&usize, &Value)| match table.columns[at].column_type {
                crate::ColumnType::Int | crate::ColumnType::Time => value.as_int().is_some(),
                _ => value.as_text().is_some(),
            };
            if values.len() != order.len() || !order.iter().zip(values).all(fits) {
                return Err(Error::invalid(
                    "reading a list",
                    "the page token belongs to another list or order; start again without it",
                ));
            }
        }
        Ok(order)
    }

    /// Where `row` stands in a list ordered by the columns at `order` (see [`Query::check`]).
    pub fn position(order: &[usize], row: &Row) -> Position {
        Position(order.iter().map(|&at| row[at].clone()).collect())
    }

    /// The page of `rows` (all rows of the table) that this query asks for: the definition for every backend.
    ///
    /// # Errors
    /// `Invalid`, see [`Query::check`].
    pub fn apply<'a>(&self, table: &Table, rows: impl Iterator<Item = &'a Row>) -> Result<RowPage> {
        let order = self.check(table)?;
        let columns: Vec<(usize, &Condition)> = self
            .conditions
            .iter()
            .filter_map(|condition| Some((table.position(condition.column())?, condition)))
            .collect();
        let directed = |ordering: Ordering| {
            if self.sort.descending { ordering.reverse() } else { ordering }
        };
        let compare = |a: &Row, b: &Row| {
            let ordering = order.iter().map(|&at| a[at].cmp(&b[at])).find(|ordering| ordering.is_ne());
            directed(ordering.unwrap_or(Ordering::Equal))
        };
        let behind = |row: &Row, Position(values): &Position| {
            let ordering = order.iter().zip(values).map(|(&at, value)| row[at].cmp(value)).find(|o| o.is_ne());
            directed(ordering.unwrap_or(Ordering::Equal)).is_gt()
        };
        let fits = |row: &&Row| columns.iter().all(|(at, condition)| condition.holds(&row[*at]));
        let end = usize::try_from(self.offset).unwrap_or(usize::MAX).saturating_add(self.limit);
        // One row more than the page ends with says whether there are more.
        let kept = end.saturating_add(1);
        let mut found: Vec<&Row> = Vec::new();
        let mut last_kept = None;
        let mut total = 0;
        for row in rows.filter(fits) {
            total += 1;
            // Of a long list most rows are past the page, which one comparison shows; only the others are put in order.
            if self.after.as_ref().is_some_and(|position| !behind(row, position))
                || last_kept.is_some_and(|last| compare(row, last).is_gt())
            {
                continue;
            }
            found.push(row);
            if found.len() >= kept.saturating_mul(2).max(64) {
                found.select_nth_unstable_by(kept - 1, |a, b| compare(a, b));
                found.truncate(kept);
                last_kept = found.last().copied();
            }
        }
        found.sort_unstable_by(|a, b| compare(a, b));
        let more = found.len() > end;
        found.truncate(end);
        let start = found.len().min(usize::try_from(self.offset).unwrap_or(usize::MAX));
        let rows: Vec<Row> = found[start..].iter().map(|row| self.without_sketches((*row).clone())).collect();
        let next = if more { rows.last().map(|row| Self::position(&order, row)) } else { None };
        Ok(RowPage { rows, total: self.total.then_some(total), next })
    }

    fn without_sketches(&self, mut row: Row) -> Row {
        if !self.sketches {
            for value in &mut row {
                match value {
                    Value::Sketch(sketch) => *sketch = Arc::default(),
                    Value::Histogram(histogram) => *histogram = Arc::default(),
                    _ => {}
                }
            }
        }
        row
    }
}

impl RowPage {
    /// The page as records.
    ///
    /// # Errors
    /// `Corrupt` when a row is not what it should be.
    pub fn into_records<R: Record>(self) -> Result<Page<R>> {
        let items = self.rows.into_iter().map(R::from_row).collect::<Result<_>>()?;
        Ok(Page { items, total: self.total, next: self.next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Service, Timestamp};

    #[test]
    fn every_page_is_what_sorting_the_whole_list_would_show() {
        // Shuffled names; five values to sort by, so that many rows tie.
        let rows: Vec<Row> = (0..300_u64)
            .map(|at| Service {
                name: format!("{:03}", at * 7 % 300).into(),
                metric_points: 0,
                spans: at * 11 % 5,
                log_records: at,
                first_seen: Timestamp(0),
                last_seen: Timestamp(0),
            })
            .map(|service| service.to_row())
            .collect();
        for descending in [false, true] {
            let mut sorted = rows.clone();
            sorted.sort_by(|a, b| (&a[2], &a[0]).cmp(&(&b[2], &b[0])));
            if descending {
                sorted.reverse();
            }
            for start in [None, Some(0), Some(7), Some(150), Some(299)] {
                let behind = start.map_or(0, |start| start + 1);
                for (offset, limit) in
                    [(0, 1), (0, 0), (3, 10), (0, 40), (70, 100), (0, 300), (299, 2), (0, usize::MAX), (1000, 5)]
                {
                    let mut query = Query { offset, total: true, ..Query::new(limit).sort("spans", descending) };
                    let order = query.check(Service::TABLE).expect("the query fits");
                    query.after = start.map(|start| Query::position(&order, &sorted[start]));
                    let page = query.apply(Service::TABLE, rows.iter()).expect("the query fits");
                    let left = &sorted[behind.min(sorted.len())..];
                    let left = &left[left.len().min(offset as usize)..];
                    let shown = &left[..left.len().min(limit)];
                    assert_eq!(page.rows, shown, "{query:?}");
                    assert_eq!(page.total, Some(300));
                    let more = left.len() > limit;
                    let last = shown.last().filter(|_| more).map(|row| Query::position(&order, row));
                    assert_eq!(page.next, last, "{query:?}");
                }
            }
        }
    }
}
