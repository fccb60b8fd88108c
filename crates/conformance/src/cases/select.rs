//! Promise 6: a list answers as [`tallybook_core::Query::apply`] does over all rows.

use std::sync::Arc;

use tallybook_core::{
    Condition, Error, ErrorKind, Position, Query, Record as _, Records, Row, RowPage, Service, Sort, Span, Store,
    TABLES, Table, Value,
};

use super::store_cases;
use crate::Fixtures;
use crate::queries::{conditions, random_query, sort_columns};
use crate::support::{commit, rows};

store_cases! {
    p06_text_is_ordered_bytewise,
    p06_pages_follow_each_other_in_every_order,
    p06_every_condition_on_every_column,
    p06_any_query_answers_as_core_does,
    p06_sketches_come_only_when_asked_for,
    p06_limits_and_offsets_of_any_size,
    p06_letters_match_in_any_case_and_signs_as_they_are,
    p06_a_query_that_does_not_fit_is_invalid,
}

/// Fills every table.
async fn fill(store: &Arc<dyn Store>, seed: u64) {
    let mut fixtures = Fixtures::odd(seed);
    for _ in 0..3 {
        commit(&**store, fixtures.records(40 * TABLES.len())).await;
    }
}

async fn assert_as_core(store: &Arc<dyn Store>, table: &'static Table, rows: &[Row], query: &Query) -> RowPage {
    let found = store.select(table, query).await.unwrap_or_else(|error| panic!("{error}: `{}` {query:?}", table.name));
    let expected = query.apply(table, rows.iter()).expect("the query fits");
    assert_eq!(found, expected, "`{}` {query:?}", table.name);
    found
}

async fn p06_text_is_ordered_bytewise(store: &Arc<dyn Store>) {
    let mut words = [
        "",
        "a",
        "B",
        "b",
        "ä",
        "Z",
        "z",
        "\u{10FFFF}",
        "\u{FFFF}",
        "\u{E000}",
        "%",
        "_",
        "'",
        "\"",
        "\\",
        " ",
        "a ",
        "aa",
        "a\u{1}",
        "e\u{301}",
        "é",
        "10",
        "9",
        "\t",
        "\u{7f}",
        "ß",
        "ss",
        "🦀",
    ];
    let service: Service = Fixtures::odd(30).record();
    let mut records = Records::default();
    records.catalogue.services = words.iter().map(|&name| Service { name: name.into(), ..service.clone() }).collect();
    commit(&**store, records).await;
    words.sort_unstable_by_key(|word| word.as_bytes());
    let found = rows(&**store, Service::TABLE).await;
    assert_eq!(found.iter().map(|row| row[0].as_text().unwrap_or("?")).collect::<Vec<_>>(), words);
    for word in words {
        for condition in [Condition::AtLeast("name", word.into()), Condition::AtMost("name", word.into())] {
            assert_as_core(store, Service::TABLE, &found, &Query::new(100).filter(condition)).await;
        }
    }
}

async fn p06_pages_follow_each_other_in_every_order(store: &Arc<dyn Store>) {
    fill(store, 31).await;
    for table in TABLES {
        let rows = rows(&**store, table).await;
        let columns = sort_columns(table).map(|column| Some(column.name));
        for column in columns.chain([None]) {
            for descending in [false, true] {
                let mut query = Query { sort: Sort { column, descending }, total: true, ..Query::new(17) };
                let mut walked = Vec::new();
                loop {
                    let page = assert_as_core(store, table, &rows, &query).await;
                    assert_eq!(page.total, Some(rows.len() as u64), "the total is of the list, not of the page");
                    walked.extend(page.rows);
                    let Some(next) = page.next else { break };
                    // As a client sends it.
                    query.after = Some(Position::parse(&next.token()).expect("a token reads back"));
                }
                let whole = Query { after: None, limit: usize::MAX, ..query };
                assert_eq!(walked, whole.apply(table, rows.iter()).expect("the query fits").rows);
            }
        }
    }
}

async fn p06_every_condition_on_every_column(store: &Arc<dyn Store>) {
    fill(store, 32).await;
    let mut fixtures = Fixtures::odd(33);
    for table in TABLES {
        let rows = rows(&**store, table).await;
        for _ in 0..3 {
            for condition in conditions(&mut fixtures, table, &rows) {
                let query = Query { total: true, ..Query::new(5).filter(condition) };
                assert_as_core(store, table, &rows, &query).await;
            }
        }
    }
}

async fn p06_any_query_answers_as_core_does(store: &Arc<dyn Store>) {
    fill(store, 34).await;
    let mut fixtures = Fixtures::odd(35);
    for table in TABLES {
        let rows = rows(&**store, table).await;
        for _ in 0..60 {
            let query = random_query(&mut fixtures, table, &rows);
            assert_as_core(store, table, &rows, &query).await;
        }
    }
}

async fn p06_sketches_come_only_when_asked_for(store: &Arc<dyn Store>) {
    fill(store, 36).await;
    for table in TABLES {
        for (at, column) in table.columns.iter().enumerate() {
            let Some(empty) = Value::empty_summary(column.column_type) else { continue };
            let holds = async |query: Query| {
                let page = store.select(table, &query).await.expect("the store lists a table");
                page.rows.iter().any(|row| row[at] != empty)
            };
            assert!(!holds(Query::new(100)).await, "`{}`", table.name);
            assert!(holds(Query::new(100).with_sketches()).await, "`{}`", table.name);
        }
    }
}

async fn p06_limits_and_offsets_of_any_size(store: &Arc<dyn Store>) {
    fill(store, 37).await;
    let rows = rows(&**store, Span::TABLE).await;
    for limit in [0, 1, rows.len() - 1, rows.len(), rows.len() + 1, i64::MAX as usize, usize::MAX] {
        for offset in [0, 1, rows.len() as u64 - 1, rows.len() as u64, i64::MAX as u64, u64::MAX] {
            let query = Query { offset, total: true, ..Query::new(limit).sort("sample_count", true) };
            assert_as_core(store, Span::TABLE, &rows, &query).await;
        }
    }
}

async fn p06_letters_match_in_any_case_and_signs_as_they_are(store: &Arc<dyn Store>) {
    let service: Service = Fixtures::odd(38).record();
    let names = ["Check-Out", "checkout", "50%", "500", "a_b", "aXb", r"a\b", "Ärger", "ärger", "[x]", "*", "<*>"];
    let mut records = Records::default();
    records.catalogue.services = names.iter().map(|&name| Service { name: name.into(), ..service.clone() }).collect();
    commit(&**store, records).await;
    let matching = async |part: &str| {
        let query = Query::new(100).filter(Condition::Contains("name", part.into()));
        let page = store.select(Service::TABLE, &query).await.expect("the store lists services");
        page.rows.iter().filter_map(|row| row[0].as_text().map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(matching("CHECK").await, ["Check-Out", "checkout"]);
    assert_eq!(matching("0%").await, ["50%"]);
    assert_eq!(matching("A_B").await, ["a_b"]);
    assert_eq!(matching("\\").await, [r"a\b"]);
    // Only ASCII letters have two cases.
    assert_eq!(matching("Ä").await, ["Ärger"]);
    assert_eq!(matching("ÄR").await, ["Ärger"]);
    assert_eq!(matching("[X").await, ["[x]"]);
    assert_eq!(matching("*").await, ["*", "<*>"]);
    assert_eq!(matching("").await.len(), names.len());
    assert_eq!(matching("nowhere").await, [""; 0]);
}

async fn p06_a_query_that_does_not_fit_is_invalid(store: &Arc<dyn Store>) {
    fill(store, 39).await;
    let of_another_list = store.select(Span::TABLE, &Query::new(1).sort("sample_count", true)).await;
    let of_another_list = of_another_list.expect("the store lists spans").next;
    assert!(of_another_list.is_some());
    let unfit = [
        Query::new(1).filter(Condition::Equals("no_such_column", Value::Null)),
        Query::new(1).sort("no_such_column", false),
        Query { after: of_another_list, ..Query::new(1) },
    ];
    for query in unfit {
        let kind = store.select(Service::TABLE, &query).await.map_err(|error: Error| error.kind());
        assert_eq!(kind, Err(ErrorKind::Invalid), "{query:?}");
    }
}
