//! A query as one statement over one index, and its page.

use std::cmp::Ordering;

use deadpool_postgres::Object;
use tallybook_core::{Class, Column, Condition, Query, Result, Row, RowPage, Table, Value};

use tokio_postgres::types::ToSql;

use crate::error::failed;
use crate::rows::{self, Parameter};
use crate::sql::{column_list, quoted, readable};

pub(crate) const OPERATION: &str = "reading a list";

/// Answers as [`Query::apply`] would over all rows of the table: the total and the page in one statement, so that both see
/// one moment.
pub(crate) async fn select(client: &Object, table: &'static Table, query: &Query) -> Result<RowPage> {
    table.place(OPERATION)?;
    let order = query.check(table)?;
    let mut filter = Filter::new(table, &query.conditions);
    let name = quoted(table.name);
    let counted = format!("SELECT count(*) AS total FROM {name} {}", filter.to_sql());

    let direction = if query.sort.descending { "DESC" } else { "ASC" };
    let mut ordered: Vec<usize> = Vec::new();
    for &at in &order {
        if !ordered.contains(&at) {
            ordered.push(at);
        }
    }
    if let Some(after) = &query.after {
        let values: Vec<String> = after.values().iter().map(|value| filter.parameter(value)).collect();
        let columns: Vec<String> = order.iter().map(|&at| readable(&table.columns[at])).collect();
        let behind = if query.sort.descending { "<" } else { ">" };
        filter.push(format!("({}) {behind} ({})", columns.join(", "), values.join(", ")));
    }
    let terms: Vec<String> =
        ordered.iter().map(|&at| format!("{} {direction}", readable(&table.columns[at]))).collect();
    // One row past the page tells whether there is more.
    let limit = filter.own_parameter(i64::try_from(query.limit).unwrap_or(i64::MAX).saturating_add(1));
    let offset = filter.own_parameter(i64::try_from(query.offset).unwrap_or(i64::MAX));
    let page = format!(
        "SELECT true AS found, row_number() OVER (ORDER BY {0}) AS place, {1} FROM {name} {2} ORDER BY {0} LIMIT {limit} OFFSET {offset}",
        terms.join(", "),
        column_list(table, query.sketches),
        filter.to_sql(),
    );
    let sql = if query.total {
        format!("SELECT c.total, p.* FROM ({counted}) AS c LEFT JOIN ({page}) AS p ON true ORDER BY p.place")
    } else {
        format!("SELECT NULL::int8, p.* FROM ({page}) AS p ORDER BY p.place")
    };

    let error = |error| failed(OPERATION, error);
    let statement = client.prepare_cached(&sql).await.map_err(error)?;
    let found = client.query(&statement, &rows::borrowed(&filter.parameters)).await.map_err(error)?;
    let total: Option<i64> = found.first().map(|row| row.try_get(0)).transpose().map_err(error)?.flatten();
    let mut page: Vec<Row> = Vec::with_capacity(found.len());
    for row in &found {
        // An empty page still has the row of its total.
        if row.try_get::<_, Option<bool>>(1).map_err(error)?.is_some() {
            page.push(rows::read(table, row, 3, query.sketches)?);
        }
    }
    let more = page.len() > query.limit;
    page.truncate(query.limit);
    let next = if more { page.last().map(|row| Query::position(&order, row)) } else { None };
    Ok(RowPage { rows: page, total: total.map(i64::cast_unsigned), next })
}

/// `WHERE a AND b AND …` with the parameters of the whole statement.
pub(crate) struct Filter<'a> {
    terms: Vec<String>,
    /// Bound in this order to `$1`, `$2` …
    pub(crate) parameters: Vec<Parameter<'a>>,
}

impl<'a> Filter<'a> {
    /// All conditions, whose columns [`Query::check`] has found in the table.
    pub(crate) fn new(table: &Table, conditions: &'a [Condition]) -> Self {
        let mut filter = Self { terms: Vec::new(), parameters: Vec::new() };
        for condition in conditions {
            if let Some(at) = table.position(condition.column()) {
                filter.add(&table.columns[at], condition);
            }
        }
        filter
    }

    /// Adds a parameter and gives its name.
    pub(crate) fn parameter(&mut self, value: &'a Value) -> String {
        self.bind(rows::parameter(value))
    }

    /// Adds a parameter that is made here and gives its name.
    pub(crate) fn own_parameter(&mut self, value: impl ToSql + Sync + Send + 'a) -> String {
        self.bind(Box::new(value))
    }

    /// Adds a term.
    pub(crate) fn push(&mut self, term: String) {
        self.terms.push(term);
    }

    /// `WHERE …`, or nothing.
    pub(crate) fn to_sql(&self) -> String {
        if self.terms.is_empty() { String::new() } else { format!("WHERE {}", self.terms.join(" AND ")) }
    }

    fn bind(&mut self, parameter: Parameter<'a>) -> String {
        self.parameters.push(parameter);
        format!("${}", self.parameters.len())
    }

    /// Values of another type than the column's are compared as the core orders types, see [`Value`]'s `Ord`.
    fn add(&mut self, column: &Column, condition: &'a Condition) {
        let name = readable(column);
        let never = || "false".to_owned();
        let present = || format!("{name} IS NOT NULL");
        let term = match condition {
            Condition::Equals(_, Value::Null) => format!("{name} IS NULL"),
            Condition::Equals(_, value) if can_hold(column, value) => format!("{name} = {}", self.parameter(value)),
            Condition::Differs(_, Value::Null) => present(),
            Condition::Differs(_, value) if can_hold(column, value) => {
                format!("{name} IS DISTINCT FROM {}", self.parameter(value))
            }
            Condition::Differs(..) => return,
            Condition::In(_, values) => self.one_of(column, values),
            Condition::AtLeast(_, value) => match column.column_type.class().cmp(&value.class()) {
                Ordering::Less => never(),
                Ordering::Equal => format!("{name} >= {}", self.parameter(value)),
                Ordering::Greater => present(),
            },
            Condition::AtMost(_, value) => match column.column_type.class().cmp(&value.class()) {
                Ordering::Less => present(),
                Ordering::Equal => format!("{name} <= {}", self.parameter(value)),
                Ordering::Greater => never(),
            },
            Condition::Contains(_, part) if column.column_type.class() == Class::Text && !part.contains('\0') => {
                let part = self.own_parameter(part.to_ascii_lowercase());
                format!("position({part} IN lower({name})) > 0")
            }
            Condition::ContainsExactly(_, part)
                if column.column_type.class() == Class::Text && !part.contains('\0') =>
            {
                format!("strpos({name}, {}) > 0", self.own_parameter(part.clone()))
            }
            Condition::Equals(..) | Condition::Contains(..) | Condition::ContainsExactly(..) => never(),
        };
        self.terms.push(term);
    }

    fn one_of(&mut self, column: &Column, values: &'a [Value]) -> String {
        let name = readable(column);
        let possible = values.iter().filter(|value| can_hold(column, value));
        let array: Parameter<'a> = if column.column_type.class() == Class::Int {
            Box::new(possible.filter_map(Value::as_int).collect::<Vec<i64>>())
        } else {
            Box::new(possible.filter_map(|value| value.as_text()).collect::<Vec<&str>>())
        };
        let term = format!("{name} = ANY({})", self.bind(array));
        if values.contains(&Value::Null) { format!("({term} OR {name} IS NULL)") } else { term }
    }
}

/// Whether a column can have this value: of its type, and no text with NUL, which PostgreSQL does not know.
fn can_hold(column: &Column, value: &Value) -> bool {
    column.column_type.class() == value.class() && value.as_text().is_none_or(|text| !text.contains('\0'))
}
