//! Lists: the query they ask of the store, and the envelope they answer with.

use serde::Serialize;
use tallybook_core::{ALL_SERVICES, Condition, Position, Query, Store, Table, Value};
use utoipa::ToSchema;

use super::error::ApiError;
use super::params::{ListParams, Order, Paging};

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// The items of this page.
    pub(crate) data: Vec<T>,
    /// All items that fit the filters.
    pub(crate) total: u64,
    /// The limit that was asked for.
    pub(crate) limit: u32,
    /// The offset that was asked for.
    pub(crate) offset: u32,
    /// Whether more items follow.
    pub(crate) has_more: bool,
    /// The `after` of the next page; null at the end.
    pub(crate) next: Option<String>,
}

/// What a list can be sorted by.
pub(crate) trait SortBy: Copy {
    /// The column; `None` is the key.
    fn column(self) -> Option<&'static str>;
}

/// The filters of a list over one table.
pub(crate) trait Filter {
    type Sort: SortBy;

    fn sort(&self) -> Self::Sort;

    fn conditions(&self) -> Vec<Condition>;
}

impl Paging {
    /// Whether a list that is sorted by `column` goes down.
    pub(crate) fn descending(&self, column: Option<&str>) -> bool {
        match self.order {
            Some(order) => order == Order::Desc,
            None => column.is_some(),
        }
    }

    /// Where the page begins.
    pub(crate) fn position(&self) -> Result<Option<Position>, ApiError> {
        let parse = |token: &String| {
            Position::parse(token).ok_or_else(|| ApiError::invalid_query("after: this is not the `next` of a page"))
        };
        self.after.as_ref().map(parse).transpose()
    }

    pub(crate) fn list<T>(&self, data: Vec<T>, total: Option<u64>, next: Option<&Position>) -> List<T> {
        List {
            data,
            total: total.unwrap_or_default(),
            limit: self.limit,
            offset: self.offset,
            has_more: next.is_some(),
            next: next.map(Position::token),
        }
    }
}

/// A page of a list that was made here and not by the store. `items` come with what orders them, no two alike, and of the
/// same types throughout.
pub(crate) fn page_of<T>(
    paging: &Paging,
    descending: bool,
    mut items: Vec<(Vec<Value>, T)>,
) -> Result<List<T>, ApiError> {
    let compare = |a: &[Value], b: &[Value]| {
        let ordering = a.cmp(b);
        if descending { ordering.reverse() } else { ordering }
    };
    let total = items.len() as u64;
    if let Some(position) = paging.position()? {
        items.retain(|(order, _)| compare(order, position.values()).is_gt());
    }
    items.sort_unstable_by(|(a, _), (b, _)| compare(a, b));
    let end = paging.offset as usize + paging.limit as usize;
    let more = items.len() > end;
    let page = items.into_iter().skip(paging.offset as usize).take(paging.limit as usize);
    let (orders, data): (Vec<_>, Vec<_>) = page.unzip();
    let next = orders.last().filter(|_| more).map(position);
    Ok(paging.list(data, Some(total), next.as_ref()))
}

/// The position that consists of `values`.
pub(crate) fn position(values: &Vec<Value>) -> Position {
    let order: Vec<usize> = (0..values.len()).collect();
    Query::position(&order, values)
}

impl<F: Filter> ListParams<F> {
    /// The query for the page.
    pub(crate) fn query(&self) -> Result<Query, ApiError> {
        let column = self.filter.sort().column();
        let mut query = Query::new(self.paging.limit as usize);
        query.conditions = self.filter.conditions();
        query.sort.column = column;
        query.sort.descending = self.paging.descending(column);
        query.after = self.paging.position()?;
        query.offset = self.paging.offset.into();
        query.total = true;
        Ok(query)
    }
}

/// The rows of one service, or those that sum up all of them.
pub(crate) fn of_service(service: Option<&str>) -> Condition {
    Condition::Equals("service", Value::from(service.unwrap_or(ALL_SERVICES)))
}

/// Conditions from parameters, each of which may be absent.
#[derive(Debug, Default)]
pub(crate) struct Conditions(Vec<Condition>);

impl Conditions {
    pub(crate) fn and(mut self, condition: Condition) -> Self {
        self.0.push(condition);
        self
    }

    pub(crate) fn and_some(mut self, condition: Option<Condition>) -> Self {
        self.0.extend(condition);
        self
    }

    pub(crate) fn equals(self, column: &'static str, value: Option<&str>) -> Self {
        self.and_some(value.map(|value| Condition::Equals(column, Value::from(value))))
    }

    pub(crate) fn contains(self, column: &'static str, part: Option<&str>) -> Self {
        self.and_some(part.map(|part| Condition::Contains(column, part.to_owned())))
    }

    pub(crate) fn at_least(self, column: &'static str, least: Option<i64>) -> Self {
        self.and_some(least.map(|least| Condition::AtLeast(column, Value::Int(least))))
    }

    pub(crate) fn at_most(self, column: &'static str, most: Option<i64>) -> Self {
        self.and_some(most.map(|most| Condition::AtMost(column, Value::Int(most))))
    }

    pub(crate) fn done(self) -> Vec<Condition> {
        self.0
    }
}

/// The number of rows that fit `conditions`.
pub(crate) async fn number_of(
    store: &dyn Store,
    table: &'static Table,
    conditions: Vec<Condition>,
) -> tallybook_core::Result<u64> {
    let mut query = Query::new(1);
    query.conditions = conditions;
    query.total = true;
    Ok(store.select(table, &query).await?.total.unwrap_or_default())
}
