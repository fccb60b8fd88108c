//! Promise 3 of tables by `Newest`: of two states of one thing the one with the greater revision stays, in whatever order they
//! come.

use std::sync::Arc;

use tallybook_core::{
    Artifact, Counts, Execution, ExecutionRecords, ExecutionStatus, Record, Records, Row, Rules, Step, Store, TABLES,
    Table, Value,
};

use super::store_cases;
use crate::Fixtures;
use crate::support::{Sender, answer, rows};

store_cases! {
    p03_an_older_state_never_replaces_a_newer_one,
    p03_a_state_with_a_revision_that_is_there_changes_nothing,
    p03_of_states_in_one_batch_the_newest_stays,
    p03_a_final_state_stays,
}

fn tables() -> impl Iterator<Item = &'static Table> {
    TABLES.iter().copied().filter(|table| table.rules == Rules::Newest)
}

/// States of one thing with these revisions, each with other contents.
fn states(table: &'static Table, revisions: &[u64]) -> Vec<Row> {
    let mut fixtures = Fixtures::odd(95);
    let (key, revision) = (table.key().len(), table.revision().expect("a table by `Newest` has a revision"));
    let mut row =
        || if table.name == Execution::TABLE.name { fixtures.execution().to_row() } else { fixtures.row(table) };
    let id = row()[..key].to_vec();
    let state = |&number: &u64| {
        let mut row = row();
        row[..key].clone_from_slice(&id);
        row[revision] = Value::Int(i64::try_from(number).expect("revisions fit"));
        // A final state, and no other, has the greatest revision.
        if let Some(status) = table.position("status") {
            let fitting =
                if number == Execution::FINAL { ExecutionStatus::Completed } else { ExecutionStatus::Running };
            row[status] = fitting.as_str().into();
        }
        row
    };
    revisions.iter().map(state).collect()
}

fn records(table: &'static Table, rows: Vec<Row>) -> Records {
    fn of<R: Record>(rows: Vec<Row>) -> Vec<R> {
        rows.into_iter().map(|row| R::from_row(row).expect("a row of the table")).collect()
    }
    let mut executions = ExecutionRecords::default();
    match table.name {
        name if name == Execution::TABLE.name => executions.executions = of(rows),
        name if name == Step::TABLE.name => executions.steps = of(rows),
        name if name == Artifact::TABLE.name => executions.artifacts = of(rows),
        name => panic!("no case makes rows of `{name}`"),
    }
    Records { executions, ..Records::default() }
}

/// Commits states one by one, and says after each which of them is there.
async fn one_by_one(store: &dyn Store, table: &'static Table, states: &[Row]) -> Vec<(usize, Counts)> {
    let (mut sender, mut seen) = (Sender::new(), Vec::new());
    for state in states {
        let committed = answer(store, &sender.batch(records(table, vec![state.clone()]))).await;
        let [found] = &rows(store, table).await[..] else { panic!("`{}` has one row", table.name) };
        let place = states.iter().position(|state| state == found).expect("what is there was sent");
        seen.push((place, committed.executions));
    }
    seen
}

const STORED: Counts = Counts { stored: 1, merged: 0, duplicate: 0 };
const DUPLICATE: Counts = Counts { stored: 0, merged: 0, duplicate: 1 };

async fn p03_an_older_state_never_replaces_a_newer_one(store: &Arc<dyn Store>) {
    for table in tables() {
        let seen = one_by_one(&**store, table, &states(table, &[5, 4, 7, 1, 6, 8])).await;
        let expected = [(0, STORED), (0, DUPLICATE), (2, STORED), (2, DUPLICATE), (2, DUPLICATE), (5, STORED)];
        assert_eq!(seen, expected, "`{}`", table.name);
    }
}

async fn p03_a_state_with_a_revision_that_is_there_changes_nothing(store: &Arc<dyn Store>) {
    for table in tables() {
        let seen = one_by_one(&**store, table, &states(table, &[3, 3, 4, 4])).await;
        assert_eq!(seen, [(0, STORED), (0, DUPLICATE), (2, STORED), (2, DUPLICATE)], "`{}`", table.name);
    }
}

async fn p03_of_states_in_one_batch_the_newest_stays(store: &Arc<dyn Store>) {
    for table in tables() {
        let states = states(table, &[2, 9, 9, 5, 8, 10, 7]);
        let mut sender = Sender::new();
        for (batch, newest) in [(&states[..5], 1), (&states[3..], 5), (&states[..], 5)] {
            answer(&**store, &sender.batch(records(table, batch.to_vec()))).await;
            assert_eq!(rows(&**store, table).await, [states[newest].clone()], "`{}`", table.name);
        }
    }
}

async fn p03_a_final_state_stays(store: &Arc<dyn Store>) {
    for table in tables() {
        let seen = one_by_one(&**store, table, &states(table, &[2, Execution::FINAL, Execution::FINAL, 3])).await;
        assert_eq!(seen, [(0, STORED), (1, STORED), (1, DUPLICATE), (1, DUPLICATE)], "`{}`", table.name);
    }
}
