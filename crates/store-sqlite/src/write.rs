//! Writes rows, one statement a row.

use rusqlite::Connection;
use tallybook_core::{Row, Value};

use crate::rows;
use crate::sql::Writing;

/// Writes rows of one table under that revision; says how many of them changed anything.
pub(crate) fn write(connection: &Connection, how: &Writing, rows: &[Row], revision: i64) -> rusqlite::Result<u64> {
    let revision = Value::Int(revision);
    let mut known = how.known.as_deref().map(|sql| connection.prepare_cached(sql)).transpose()?;
    let mut whole = connection.prepare_cached(&how.row)?;
    let mut sketch = how.sketch.as_deref().map(|sql| connection.prepare_cached(sql)).transpose()?;
    let mut changed = 0;
    for row in rows {
        if let Some(known) = &mut known {
            rows::bind(known, row.iter().chain([&revision]))?;
            if known.raw_execute()? > 0 {
                changed += 1;
                continue;
            }
        }
        rows::bind(&mut whole, row.iter().chain([&revision]))?;
        changed += whole.raw_execute()? as u64;
        // Second, because the estimate above is of the sketch that was there.
        if let Some(sketch) = &mut sketch {
            rows::bind(sketch, row)?;
            sketch.raw_execute()?;
        }
    }
    Ok(changed)
}
