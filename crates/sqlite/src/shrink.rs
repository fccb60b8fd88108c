//! Free pages go back to the file system.

use rusqlite::Connection;

/// Free pages up to this share of the file stay: what is written next fills them again.
const FREE_SHARE: i64 = 8;

/// Gives at most `pages` pages back to the file system, where much of the file is free; says whether it did.
pub fn shrink(connection: &Connection, pages: u32) -> rusqlite::Result<bool> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    if pragma("freelist_count")? <= pragma("page_count")? / FREE_SHARE {
        return Ok(false);
    }
    // Each step frees one page.
    let mut statement = connection.prepare_cached(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut steps = statement.query([])?;
    while steps.next()?.is_some() {}
    Ok(true)
}
