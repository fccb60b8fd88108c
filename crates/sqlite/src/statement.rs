//! Running one statement on a connection.

use std::ops::ControlFlow;

use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::{Batch, CachedStatement, Connection, Row, StatementStatus};

use crate::params::{self, Params};
use crate::rows::{self, Rows};
use crate::stats::Statements;
use crate::{Error, ErrorKind, Result};

/// What a statement did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Executed {
    /// Rows that were inserted, changed or deleted, without those that triggers did.
    pub rows: u64,
    /// The row id of the last insert on the writer.
    pub last_insert_rowid: i64,
}

/// What a script did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Scripted {
    /// Statements that ran.
    pub statements: u64,
    /// Rows that were inserted, changed or deleted.
    pub rows: u64,
}

/// A connection with what counts its statements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Runner<'c> {
    pub(crate) connection: &'c Connection,
    pub(crate) statements: &'c Statements,
    /// Bytes that one answer may have.
    pub(crate) max_bytes: usize,
}

impl<'c> Runner<'c> {
    /// Runs a statement once for each set of parameters.
    pub(crate) fn execute(self, sql: &str, sets: &[Params]) -> Result<Executed> {
        let mut statement = self.prepare(sql)?;
        let mut rows = 0;
        for set in sets {
            rows += self.execute_one(&mut statement, set)?;
        }
        Ok(Executed { rows, last_insert_rowid: self.connection.last_insert_rowid() })
    }

    fn execute_one(self, statement: &mut rusqlite::Statement<'_>, params: &Params) -> Result<u64> {
        params::bind(statement, params)?;
        let before = self.connection.total_changes();
        let mut answer = statement.raw_query();
        while answer.next()?.is_some() {}
        drop(answer);
        // A statement that changes no row leaves the number of the last one that did.
        Ok(if self.connection.total_changes() == before { 0 } else { self.connection.changes() })
    }

    /// Runs a query row by row, until `each` breaks off.
    pub(crate) fn for_each(
        self,
        sql: &str,
        params: &Params,
        mut each: impl FnMut(&Row<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<Vec<String>> {
        let mut statement = self.prepare(sql)?;
        params::bind(&mut statement, params)?;
        let columns = statement.column_names().map(str::to_owned).collect();
        let mut answer = statement.raw_query();
        let mut read = 0;
        while let Some(row) = answer.next().map_err(|error| self.refused(error))? {
            read += 1;
            if each(row)?.is_break() {
                break;
            }
        }
        self.statements.rows_read(read);
        Ok(columns)
    }

    /// What an error means on a connection that only reads.
    fn refused(self, error: rusqlite::Error) -> Error {
        let error = Error::from(error);
        if error.kind() == ErrorKind::ReadOnly && self.connection.is_readonly("main").unwrap_or(false) {
            let context = "the statement writes, and this is a call that reads; use one that writes, or a transaction";
            return Error::new(ErrorKind::ReadOnly, context);
        }
        error
    }

    /// At most `limit` rows of a query, and no more bytes than an answer may have.
    pub(crate) fn query(self, sql: &str, params: &Params, limit: usize) -> Result<Rows> {
        let mut answer = Rows::default();
        let mut bytes = 0;
        answer.columns = self.for_each(sql, params, |row| {
            if answer.rows.len() == limit {
                answer.more = true;
                return Ok(ControlFlow::Break(()));
            }
            let mut values = Vec::with_capacity(row.as_ref().column_count());
            for at in 0..row.as_ref().column_count() {
                let value = row.get_ref(at)?;
                bytes += rows::bytes(value);
                if bytes > self.max_bytes {
                    let context = format!("the answer has more than {} bytes; ask for less", self.max_bytes);
                    return Err(Error::new(ErrorKind::TooLarge, context));
                }
                values.push(rows::owned(value));
            }
            answer.rows.push(values);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(answer)
    }

    /// Runs all statements of a script.
    pub(crate) fn script(self, sql: &str) -> Result<Scripted> {
        let mut done = Scripted::default();
        let mut batch = Batch::new(self.connection, sql);
        loop {
            let next = batch.next().map_err(|error| in_script(&done, error.into()))?;
            let Some(mut statement) = next else { return Ok(done) };
            let run = allowed(&statement).and_then(|()| self.execute_one(&mut statement, &Params::None));
            done.rows += run.map_err(|error| in_script(&done, error))?;
            done.statements += 1;
        }
    }

    fn prepare(self, sql: &str) -> Result<CachedStatement<'c>> {
        let statement = self.connection.prepare_cached(sql)?;
        allowed(&statement)?;
        self.statements.prepared(statement.get_status(StatementStatus::Run) > 0);
        Ok(statement)
    }
}

/// Transactions are the engine's affair, and so is what is the same for all calls on a connection.
fn allowed(statement: &rusqlite::Statement<'_>) -> Result<()> {
    if statement.readonly() && statement.column_count() == 0 && statement.is_explain() == 0 {
        if statement.expanded_sql().is_none() {
            return Err(Error::new(ErrorKind::Statement, "there is no statement"));
        }
        return Err(Error::new(
            ErrorKind::Denied,
            "BEGIN, COMMIT, ROLLBACK, SAVEPOINT, ATTACH and settings are the engine's; a transaction, a script or a list \
             is one transaction by itself, the raw writer can do the rest",
        ));
    }
    Ok(())
}

fn in_script(done: &Scripted, error: Error) -> Error {
    error.in_front(&format!("statement {}", done.statements + 1))
}
