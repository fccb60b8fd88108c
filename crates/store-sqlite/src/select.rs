//! A query as one statement over one index, and its page.

use rusqlite::Connection;
use tallybook_core::{Condition, Position, Query, Result, Row, RowPage, Table, Value};

use crate::error::failed;
use crate::filter::Filter;
use crate::rows;
use crate::sql::{column_list, quoted};

const OPERATION: &str = "reading a list";

/// Answers as [`Query::apply`] would over all rows of the table.
pub(crate) fn select(connection: &Connection, table: &'static Table, query: &Query) -> Result<RowPage> {
    table.place(OPERATION)?;
    let order = query.check(table)?;
    if !query.total {
        return page(connection, table, query, &order, None);
    }
    // One moment for the total and the page.
    let moment = connection.unchecked_transaction().map_err(|error| failed(OPERATION, error))?;
    let total = count(&moment, table, query)?;
    page(&moment, table, query, &order, Some(total))
}

fn count(connection: &Connection, table: &Table, query: &Query) -> Result<u64> {
    let filter = Filter::new(OPERATION, table, &query.conditions)?;
    let sql = format!("SELECT count(*) FROM {} {}", quoted(table.name), filter.to_sql());
    let count = |connection: &Connection| -> rusqlite::Result<i64> {
        let mut statement = connection.prepare_cached(&sql)?;
        rows::bind(&mut statement, &filter.values)?;
        let mut found = statement.raw_query();
        found.next()?.map_or(Ok(0), |row| row.get(0))
    };
    count(connection).map(i64::cast_unsigned).map_err(|error| failed(OPERATION, error))
}

fn page(
    connection: &Connection,
    table: &'static Table,
    query: &Query,
    order: &[usize],
    total: Option<u64>,
) -> Result<RowPage> {
    let mut rows = Statement::new(table, query, order)?.run(connection, table, query.sketches)?;
    let more = rows.len() > query.limit;
    rows.truncate(query.limit);
    let next = if more { rows.last().map(|row| Query::position(order, row)) } else { None };
    Ok(RowPage { rows, total, next })
}

struct Statement {
    sql: String,
    values: Vec<Value>,
}

impl Statement {
    fn new(table: &'static Table, query: &Query, order: &[usize]) -> Result<Self> {
        let mut filter = Filter::new(OPERATION, table, &query.conditions)?;
        let order = order_by(table, query, order);
        if let (Some(after), false) = (&order.after, order.columns.is_empty()) {
            let parameters = vec!["?"; after.len()].join(", ");
            let direction = if query.sort.descending { "<" } else { ">" };
            filter.push(format!("({}) {direction} ({parameters})", order.columns.join(", ")), after.iter().cloned());
        } else if order.after.is_some() {
            // Every column of the order is pinned to the very row the page goes on behind.
            filter.push("0".to_owned(), []);
        }
        let direction = if query.sort.descending { " DESC" } else { "" };
        let terms: Vec<String> = order.columns.iter().map(|column| format!("{column}{direction}")).collect();
        let order_by = if terms.is_empty() { String::new() } else { format!("ORDER BY {}", terms.join(", ")) };
        let sql = format!(
            "SELECT {} FROM {} {} {order_by} LIMIT ? OFFSET ?",
            column_list(table, query.sketches),
            quoted(table.name),
            filter.to_sql(),
        );
        let mut values = filter.values;
        // One row past the page tells whether there is more.
        values.push(Value::Int(i64::try_from(query.limit).unwrap_or(i64::MAX).saturating_add(1)));
        values.push(Value::Int(i64::try_from(query.offset).unwrap_or(i64::MAX)));
        Ok(Self { sql, values })
    }

    fn run(&self, connection: &Connection, table: &'static Table, sketches: bool) -> Result<Vec<Row>> {
        let error = |error| failed(OPERATION, error);
        let mut statement = connection.prepare_cached(&self.sql).map_err(error)?;
        rows::bind(&mut statement, &self.values).map_err(error)?;
        let mut found = statement.raw_query();
        let mut read = Vec::new();
        while let Some(row) = found.next().map_err(error)? {
            read.push(rows::read(table, row, 0, sketches)?);
        }
        Ok(read)
    }
}

struct Order {
    columns: Vec<String>,
    after: Option<Vec<Value>>,
}

/// The columns that order the list, each once, without those an `Equals` pins to one value: only so does the rest line up
/// with an index, for the order as well as for the place where the page goes on.
fn order_by(table: &Table, query: &Query, order: &[usize]) -> Order {
    let pinned = |at: usize| {
        query.conditions.iter().find_map(|condition| match condition {
            Condition::Equals(column, value) if *column == table.columns[at].name => Some(value),
            _ => None,
        })
    };
    let after = query.after.as_ref().map(Position::values);
    let mut seen = Vec::with_capacity(order.len());
    let mut columns = Vec::with_capacity(order.len());
    let mut values = Vec::with_capacity(order.len());
    for (place, &at) in order.iter().enumerate() {
        let value = after.map(|after| &after[place]);
        let decided = match (pinned(at), value) {
            (Some(pinned), Some(value)) => pinned == value,
            (Some(_), None) => true,
            (None, _) => false,
        };
        // A sketch has no order.
        if decided || seen.contains(&at) || !table.columns[at].column_type.is_comparable() {
            continue;
        }
        seen.push(at);
        columns.push(quoted(table.columns[at].name));
        values.extend(value.cloned());
    }
    Order { columns, after: after.map(|_| values) }
}

#[cfg(test)]
mod tests {
    use tallybook_core::{
        ALL_SERVICES, Attribute, AttributeKey, Execution, Metric, Ping, PingBucket, Record, Span, SpanPattern, Template,
    };

    use super::*;

    fn of_service() -> Condition {
        Condition::Equals("service", ALL_SERVICES.into())
    }

    fn sorted_by(column: &'static str, conditions: &[Condition]) -> Query {
        Query { conditions: conditions.to_vec(), ..Query::new(50).sort(column, true) }
    }

    /// Lists the API offers, over tables that can be long.
    fn lists() -> Vec<(&'static Table, Query)> {
        let signal = || Condition::Equals("signal", "metric".into());
        let many = || Condition::AtLeast("cardinality", 100.into());
        let alive = || Condition::AtLeast("count", 1.into());
        let contains = |column| Condition::Contains(column, "http".to_owned());
        let in_names = || Condition::In("name", vec!["a".into(), "b".into()]);
        let mut lists = vec![
            (AttributeKey::TABLE, Query::new(50).filter(signal()).filter(of_service())),
            (AttributeKey::TABLE, Query::new(50).filter(signal()).filter(of_service()).filter(in_names())),
            (AttributeKey::TABLE, sorted_by("cardinality", &[of_service()])),
            (AttributeKey::TABLE, sorted_by("cardinality", &[of_service(), many()])),
            (AttributeKey::TABLE, sorted_by("cardinality", &[signal(), of_service(), many()])),
            (Attribute::TABLE, sorted_by("cardinality", &[many(), contains("key")])),
            (Template::TABLE, sorted_by("count", &[alive()])),
            (Template::TABLE, sorted_by("count", &[alive(), Condition::Equals("severity", "ERROR".into())])),
            (
                Template::TABLE,
                sorted_by("count", &[of_service(), Condition::Equals("severity", "ERROR".into()), alive()]),
            ),
        ];
        lists.extend(
            ["sample_count", "active_series", "first_seen", "last_seen"]
                .map(|column| (Metric::TABLE, sorted_by(column, &[of_service(), contains("name")]))),
        );
        lists.extend(
            ["sample_count", "status_error", "first_seen", "last_seen"]
                .map(|column| (Span::TABLE, sorted_by(column, &[of_service(), contains("name")]))),
        );
        lists.extend(
            ["sample_count", "name_count"].map(|column| (SpanPattern::TABLE, sorted_by(column, &[of_service()]))),
        );
        lists.extend(
            ["count", "cardinality", "first_seen", "last_seen"]
                .map(|column| (Attribute::TABLE, sorted_by(column, &[Condition::Equals("scope", "resource".into())]))),
        );
        lists
    }

    /// What SQLite says it will do, and with what statement.
    fn plan(connection: &Connection, table: &'static Table, query: &Query) -> String {
        let order = query.check(table).unwrap();
        let Statement { sql, values } = Statement::new(table, query, &order).unwrap();
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        rows::bind(&mut statement, &values).unwrap();
        let mut steps = statement.raw_query();
        let mut plan = sql;
        while let Some(step) = steps.next().unwrap() {
            plan = format!("{plan}\n  {}", step.get::<_, String>(3).unwrap());
        }
        plan
    }

    fn migrated(folder: &std::path::Path) -> Connection {
        let mut connection = crate::connection::open_writer(&folder.join("tallybook.db")).unwrap();
        crate::migrate::run(&mut connection).unwrap();
        connection
    }

    #[test]
    fn a_list_is_read_in_the_order_of_an_index_and_never_sorted_whole() {
        let folder = tempfile::tempdir().unwrap();
        let connection = migrated(folder.path());
        for (table, query) in lists() {
            let plan = plan(&connection, table, &query);
            // Ties may be: "USE TEMP B-TREE FOR LAST 2 TERMS OF ORDER BY".
            assert!(!plan.contains("B-TREE FOR ORDER BY"), "{plan}");
        }
    }

    #[test]
    fn pings_and_their_buckets_are_found_by_ranges_of_one_index() {
        let folder = tempfile::tempdir().unwrap();
        let connection = migrated(folder.path());
        let range = |column| [Condition::AtLeast(column, 10.into()), Condition::AtMost(column, 20.into())];
        let minutes = || Condition::Equals("resolution", "minute".into());
        let target = || Condition::Equals("target", "a".into());
        let [from, to] = range("start");
        for (table, column, conditions, found_by) in [
            (
                Ping::TABLE,
                "time",
                [target()].into_iter().chain(range("time")).collect(),
                "(target=? AND time>? AND time<?)",
            ),
            (
                PingBucket::TABLE,
                "start",
                vec![minutes(), target(), from.clone(), to.clone()],
                "(resolution=? AND target=? AND start>? AND start<?)",
            ),
            (PingBucket::TABLE, "start", vec![minutes(), from, to], "(resolution=? AND start>? AND start<?)"),
        ] {
            for descending in [false, true] {
                let query = Query { conditions: conditions.clone(), ..Query::new(50).sort(column, descending) };
                let plan = plan(&connection, table, &query);
                assert!(plan.contains(found_by) && !plan.contains("B-TREE"), "{plan}");
            }
        }
    }

    #[test]
    fn executions_are_listed_by_one_scan_of_an_index_from_the_newest_back() {
        let folder = tempfile::tempdir().unwrap();
        let connection = migrated(folder.path());
        let status = || Condition::Equals("status", "failed".into());
        let name = || Condition::Equals("name", "nightly".into());
        let tag = || Condition::ContainsExactly("tags", r#""team":"search""#.to_owned());
        let from = || Condition::AtLeast("created_at", 10.into());
        let duration = || Condition::AtLeast("duration", 10.into());
        for (conditions, found_by) in [
            (vec![], "SCAN execution USING INDEX execution_by_time"),
            (vec![from()], "SEARCH execution USING INDEX execution_by_time (created_at>?)"),
            (vec![status()], "SEARCH execution USING INDEX execution_by_status (status=?)"),
            (vec![status(), from()], "SEARCH execution USING INDEX execution_by_status (status=? AND created_at>?)"),
            (vec![name()], "SEARCH execution USING INDEX execution_by_name (name=?)"),
            (vec![name(), from()], "SEARCH execution USING INDEX execution_by_name (name=? AND created_at>?)"),
            // What has no index is looked for in that order: no list is sorted whole.
            (vec![tag()], "SCAN execution USING INDEX execution_by_time"),
            (vec![tag(), from()], "SEARCH execution USING INDEX execution_by_time (created_at>?)"),
            (vec![tag(), name()], "SEARCH execution USING INDEX execution_by_name (name=?)"),
            (vec![duration(), status()], "SEARCH execution USING INDEX execution_by_status (status=?)"),
        ] {
            let query = Query { conditions, ..Query::new(50).sort("created_at", true) };
            let plan = plan(&connection, Execution::TABLE, &query);
            assert!(plan.ends_with(&format!("\n  {found_by}")) && plan.lines().count() == 2, "{plan}");
        }
    }

    #[test]
    fn more_values_than_sqlite_takes_are_refused_with_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let connection = migrated(folder.path());
        let names = |count| Query::new(5).filter(Condition::In("name", (0..count).map(Value::Int).collect()));
        let texts = |count: i64| {
            let names = (0..count).map(|name| Value::from(name.to_string().as_str())).collect();
            Query::new(5).filter(Condition::In("name", names))
        };
        assert!(select(&connection, Metric::TABLE, &texts(32_000)).is_ok());
        let error = select(&connection, Metric::TABLE, &texts(32_001)).unwrap_err();
        assert_eq!(error.kind(), tallybook_core::ErrorKind::Invalid);
        assert!(select(&connection, Metric::TABLE, &names(100_000)).is_ok(), "a text is never a number");
    }

    #[test]
    fn a_further_page_begins_where_the_last_one_ended() {
        let folder = tempfile::tempdir().unwrap();
        let connection = migrated(folder.path());
        let mut query = sorted_by("cardinality", &[of_service()]);
        let key: [Value; 6] =
            [7.into(), "metric".into(), ALL_SERVICES.into(), "a".into(), "resource".into(), "k".into()];
        query.after = Some(Query::position(&[0, 1, 2, 3, 4, 5], &key.to_vec()));
        let plan = plan(&connection, AttributeKey::TABLE, &query);
        assert!(plan.contains("(service=? AND (cardinality,signal,name,scope,key)<(?,?,?,?,?))"), "{plan}");
    }

    #[test]
    fn the_uses_of_one_key_are_found_by_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let connection = migrated(folder.path());
        let query = sorted_by("cardinality", &[of_service(), Condition::Equals("key", "user.id".into())]);
        let plan = plan(&connection, AttributeKey::TABLE, &query);
        assert!(plan.contains("attribute_key_by_key (key=? AND service=?)"), "{plan}");
    }
}
