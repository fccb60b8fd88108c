//! What can be done inside a transaction, and the list form of one.

use std::ops::ControlFlow;

use rusqlite::{Connection, Row};
use serde::Serialize;

use crate::params::Params;
use crate::rows::Rows;
use crate::statement::{Executed, Runner, Scripted};
use crate::{Error, ErrorKind, Result};

/// A transaction while it runs. It ends with the call it was made for: whole, or not at all.
#[derive(Clone, Copy, Debug)]
pub struct Transaction<'c> {
    pub(crate) runner: Runner<'c>,
    pub(crate) max_rows: usize,
}

impl<'c> Transaction<'c> {
    /// Runs one statement. A failed one leaves no row; the transaction goes on if the caller does.
    pub fn execute(self, sql: &str, params: impl Into<Params>) -> Result<Executed> {
        self.runner.execute(sql, &[params.into()])
    }

    /// Runs one statement for each set of parameters.
    pub fn execute_many(self, sql: &str, sets: &[Params]) -> Result<Executed> {
        self.runner.execute(sql, sets)
    }

    /// All rows of a query, those of `INSERT … RETURNING` as well.
    pub fn query(self, sql: &str, params: impl Into<Params>) -> Result<Rows> {
        whole(self.runner.query(sql, &params.into(), self.max_rows)?, self.max_rows)
    }

    /// Runs a query row by row, until `each` breaks off.
    pub fn for_each(
        self,
        sql: &str,
        params: impl Into<Params>,
        each: impl FnMut(&Row<'_>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        self.runner.for_each(sql, &params.into(), each).map(|_| ())
    }

    /// Runs all statements of a script.
    pub fn script(self, sql: &str) -> Result<Scripted> {
        self.runner.script(sql)
    }

    /// The connection underneath. The transaction is the engine's: leave `COMMIT` and `ROLLBACK` to it.
    pub fn connection(self) -> &'c Connection {
        self.runner.connection
    }

    pub(crate) fn step(self, step: &Step) -> Result<Answer> {
        Ok(match step {
            Step::Execute { sql, sets } => Answer::Executed(self.runner.execute(sql, sets)?),
            Step::Query { sql, params } => {
                Answer::Rows(whole(self.runner.query(sql, params, self.max_rows)?, self.max_rows)?)
            }
        })
    }
}

/// One step of a transaction in list form.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A statement, once for each set of parameters.
    Execute {
        /// The statement.
        sql: String,
        /// Its parameters.
        sets: Vec<Params>,
    },
    /// A query; it sees what the steps before it did.
    Query {
        /// The statement.
        sql: String,
        /// Its parameters.
        params: Params,
    },
}

impl Step {
    /// A statement that runs once.
    pub fn execute(sql: impl Into<String>, params: impl Into<Params>) -> Self {
        Self::Execute { sql: sql.into(), sets: vec![params.into()] }
    }

    /// A query.
    pub fn query(sql: impl Into<String>, params: impl Into<Params>) -> Self {
        Self::Query { sql: sql.into(), params: params.into() }
    }
}

/// What a [`Step`] came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Of [`Step::Execute`].
    Executed(Executed),
    /// Of [`Step::Query`].
    Rows(Rows),
}

/// All rows, or an error that there are too many: half an answer is never taken for a whole one.
pub(crate) fn whole(rows: Rows, max_rows: usize) -> Result<Rows> {
    if rows.more {
        let context = format!("the answer has more than {max_rows} rows; ask for fewer, or read them one by one");
        return Err(Error::new(ErrorKind::TooLarge, context));
    }
    Ok(rows)
}
