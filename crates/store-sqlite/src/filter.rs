//! Conditions of a query as SQL.

use std::cmp::Ordering;

use tallybook_core::{Class, Column, Condition, Error, Result, Table, Value};

use crate::functions;
use crate::sql::expression;

/// SQLite takes 32,766 parameters; the page needs some, too.
const VALUES_AT_MOST: usize = 32_000;

/// `a AND b AND …` with the values of its parameters.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    terms: Vec<String>,
    /// Bound in this order to the parameters, which all are a plain `?`.
    pub(crate) values: Vec<Value>,
}

impl Filter {
    /// All conditions, whose columns [`tallybook_core::Query::check`] has found in the table.
    ///
    /// # Errors
    /// `Invalid` when there are more values than a statement of SQLite takes.
    pub(crate) fn new(operation: &'static str, table: &Table, conditions: &[Condition]) -> Result<Self> {
        let mut filter = Self::default();
        for condition in conditions {
            if let Some(at) = table.position(condition.column()) {
                filter.add(table, &table.columns[at], condition);
            }
        }
        if filter.values.len() > VALUES_AT_MOST {
            let found = filter.values.len();
            let context =
                format!("the conditions hold {found} values, more than {VALUES_AT_MOST}; ask in several steps");
            return Err(Error::invalid(operation, context));
        }
        Ok(filter)
    }

    /// Adds a term that the caller has written.
    pub(crate) fn push(&mut self, term: String, values: impl IntoIterator<Item = Value>) {
        self.terms.push(term);
        self.values.extend(values);
    }

    /// `WHERE …`, or nothing.
    pub(crate) fn to_sql(&self) -> String {
        if self.terms.is_empty() { String::new() } else { format!("WHERE {}", self.terms.join(" AND ")) }
    }

    fn add(&mut self, table: &Table, column: &Column, condition: &Condition) {
        let name = expression(table, column);
        let never = || "0".to_owned();
        let some = || format!("{name} IS NOT NULL");
        // SQLite would convert a value to the column's type before it compares; the core orders the types instead.
        match condition {
            Condition::Equals(_, Value::Null) => self.push(format!("{name} IS NULL"), []),
            Condition::Equals(_, value) if column.column_type.class() == value.class() => {
                self.push(format!("{name} = ?"), [value.clone()]);
            }
            Condition::Differs(_, Value::Null) => self.push(some(), []),
            Condition::Differs(_, value) if column.column_type.class() == value.class() => {
                self.push(format!("{name} IS NOT ?"), [value.clone()]);
            }
            Condition::Differs(..) => {}
            Condition::In(_, values) => self.add_in(&name, column.column_type.class(), values),
            Condition::AtLeast(_, value) => match column.column_type.class().cmp(&value.class()) {
                Ordering::Less => self.push(never(), []),
                Ordering::Equal => self.push(format!("{name} >= ?"), [value.clone()]),
                Ordering::Greater => self.push(some(), []),
            },
            Condition::AtMost(_, value) => match column.column_type.class().cmp(&value.class()) {
                Ordering::Less => self.push(some(), []),
                Ordering::Equal => self.push(format!("{name} <= ?"), [value.clone()]),
                Ordering::Greater => self.push(never(), []),
            },
            Condition::Contains(_, part) => {
                self.push(format!("{}({name}, ?)", functions::CONTAINS), [Value::from(part.as_str())]);
            }
            Condition::ContainsExactly(_, part) if column.column_type.class() == Class::Text => {
                self.push(format!("instr({name}, ?) > 0"), [Value::from(part.as_str())]);
            }
            Condition::Equals(..) | Condition::ContainsExactly(..) => self.push(never(), []),
        }
    }

    fn add_in(&mut self, name: &str, class: Class, values: &[Value]) {
        let same: Vec<Value> = values.iter().filter(|value| value.class() == class).cloned().collect();
        let mut term = format!("{name} IN ({})", vec!["?"; same.len()].join(", "));
        if values.contains(&Value::Null) {
            term = format!("({term} OR {name} IS NULL)");
        }
        self.push(term, same);
    }
}
