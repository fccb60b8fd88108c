//! Questions in SQL to the mirror's file and to sealed days of ticks.

use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use duckdb::types::Value;
use duckdb::{Connection, Error as Failure, params_from_iter};
use serde_json::Value as Json;
use tallybook_core::{Error, ErrorKind, Result};

use crate::cell::to_json;
use crate::error::failed;
use crate::file::{NotOpen, OPENING, open_nothing, open_to_read};
use crate::sealed;

const ASKING: &str = "asking DuckDB";
/// The time between two looks whether a file that is held is free.
const HELD_LOOK: Duration = Duration::from_millis(20);

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file of a mirror.
    pub mirror: Option<PathBuf>,
    /// The folder with the days of ticks, `DATA_DIR/ticks`; the sealed ones are the view `sealed_ticks`.
    pub ticks: Option<PathBuf>,
}

/// What an answer may be.
#[derive(Clone, Copy, Debug)]
pub struct AnswerLimits {
    /// Rows; more are left out.
    pub rows: usize,
    /// How long it may take.
    pub time: Duration,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The names of the columns.
    pub columns: Vec<String>,
    /// The values of each row, as JSON.
    pub rows: Vec<Vec<Json>>,
    /// Whether there are more rows than were asked for.
    pub more: bool,
}

/// Asks; changes nothing in the mirror. Its calls block.
pub struct Analytics {
    pub(crate) connection: Connection,
}

impl fmt::Debug for Analytics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Analytics").finish_non_exhaustive()
    }
}

impl Analytics {
    /// Opens what there is. A mirror that a server has open to write is waited for, `wait` at the most: it lets go whenever it
    /// has caught up.
    ///
    /// # Errors
    /// One sentence: `Unavailable` where somebody keeps the file, `Corrupt` where it is no DuckDB database.
    pub fn open(sources: &Sources, wait: Duration) -> Result<Self> {
        let begun = Instant::now();
        let connection = loop {
            let opened = sources.mirror.as_deref().map_or_else(open_nothing, open_to_read);
            match opened {
                Ok(connection) => break connection,
                Err(NotOpen::Held(_)) if begun.elapsed() < wait => thread::sleep(HELD_LOOK),
                Err(NotOpen::Held(who)) => {
                    let context = format!(
                        "{who} writes the mirror, and keeps the file until it has caught up; ask again later, or let it \
                         rest with `tallybook mirror pause`"
                    );
                    return Err(Error::new(ErrorKind::Unavailable, OPENING, context));
                }
                Err(NotOpen::Failed(error)) => return Err(error),
            }
        };
        // Times are in UTC, and so is what they are compared with. Without ICU there are no time zones at all.
        let _ = connection.execute_batch("SET TimeZone = 'UTC'");
        sealed::make_view(&connection, sources.ticks.as_deref()).map_err(|failure| failed(OPENING, &failure))?;
        Ok(Self { connection })
    }

    /// Answers one question. `params` are the values of `?`.
    ///
    /// # Errors
    /// `Invalid` with what DuckDB says of the question; `Unavailable` when it took too long.
    pub fn ask(&self, sql: &str, params: &[Json], limits: AnswerLimits) -> Result<Answer> {
        let params = params.iter().map(param).collect::<Result<Vec<_>>>()?;
        let interrupt = self.connection.interrupt_handle();
        let (done, is_done) = mpsc::channel::<()>();
        let watch = thread::spawn(move || {
            let timed_out = is_done.recv_timeout(limits.time) == Err(mpsc::RecvTimeoutError::Timeout);
            if timed_out {
                interrupt.interrupt();
            }
            timed_out
        });
        let answer = self.answer(sql, &params, limits.rows);
        drop(done);
        let timed_out = watch.join().unwrap_or_default();
        answer.map_err(|failure| {
            if timed_out {
                let context = format!("it took longer than {:?}; allow it more time, or ask for less", limits.time);
                return Error::new(ErrorKind::Unavailable, ASKING, context);
            }
            let said = match failure {
                Failure::DuckDBFailure(_, Some(said)) => said,
                failure => failure.to_string(),
            };
            Error::invalid(ASKING, said.trim_end())
        })
    }

    fn answer(&self, sql: &str, params: &[Value], limit: usize) -> duckdb::Result<Answer> {
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query(params_from_iter(params))?;
        let columns = rows.as_ref().map(duckdb::Statement::column_names).unwrap_or_default();
        let mut answer = Answer { columns, ..Answer::default() };
        while let Some(row) = rows.next()? {
            if answer.rows.len() == limit {
                answer.more = true;
                break;
            }
            let value = |at| row.get::<_, Value>(at).map(to_json);
            answer.rows.push((0..answer.columns.len()).map(value).collect::<duckdb::Result<_>>()?);
        }
        Ok(answer)
    }
}

fn param(value: &Json) -> Result<Value> {
    Ok(match value {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Boolean(*truth),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Value::BigInt(int),
            (None, Some(int)) => Value::UBigInt(int),
            (None, None) => Value::Double(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(_) | Json::Object(_) => {
            return Err(Error::invalid(ASKING, "a parameter is none of null, true, false, number and text"));
        }
    })
}
