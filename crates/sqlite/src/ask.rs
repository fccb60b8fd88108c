//! A question to a database by somebody who may only read.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::connection::open_reader;
use crate::control;
use crate::options::Ends;
use crate::params::Params;
use crate::rows::Rows;
use crate::statement::Runner;
use crate::stats::Statements;
use crate::{Error, Result};

const CACHE_KIB: i64 = 4 * 1024;

/// What an answer may cost.
#[derive(Clone, Copy, Debug)]
pub struct AskLimits {
    /// Rows of it; [`Rows::more`] says whether there were further ones.
    pub rows: usize,
    /// Bytes of it; larger ones are refused.
    pub bytes: usize,
    /// How long it may take.
    pub time: Duration,
}

/// Answers one query over the database at `path`, which others may write to meanwhile. The connection is opened for reading
/// alone, and before anything runs an authorizer has seen that the statement does nothing else.
///
/// # Errors
/// `Denied` or `ReadOnly` for anything that is no read, `TimeLimit` and `TooLarge` past the limits.
pub fn ask(path: &Path, sql: &str, params: &Params, limits: AskLimits) -> Result<Rows> {
    let connection =
        open_reader(path, CACHE_KIB).map_err(|error| Error::from(error).in_front(&path.display().to_string()))?;
    let mut controlled = control::read_only(connection)?;
    let ends = Ends { deadline: Some(Instant::now() + limits.time), cancel: None };
    let statements = Statements::default();
    controlled.guest(&ends, |connection| {
        Runner { connection, statements: &statements, max_bytes: limits.bytes }.query(sql, params, limits.rows)
    })
}
