//! The ticks of one symbol in a range of time, page by page, and the token that names a place among them.

use std::sync::Arc;

use tallybook_core::{Store, Tick, TickKey, TickQuery, TimeRange, Timestamp};

use super::super::error::ApiError;

/// Ticks that are read at a time where a whole range is.
const PAGE: usize = 20_000;

/// All times there are, where a request names none.
pub(super) fn range(from: Option<Timestamp>, to: Option<Timestamp>) -> Result<TimeRange, ApiError> {
    let range = TimeRange { from: from.unwrap_or(Timestamp(0)), to: to.unwrap_or(Timestamp(i64::MAX)) };
    if range.from > range.to {
        return Err(ApiError::invalid_query("from: it lies behind `to`"));
    }
    Ok(range)
}

/// The token of the place behind a tick: its time in nanoseconds and its seq.
pub(super) fn token(key: TickKey) -> String {
    format!("{}-{}", key.time.0, key.seq)
}

/// Reads a token back; its time may also be as lists and files have it.
pub(super) fn parse_token(token: &str) -> Result<TickKey, ApiError> {
    let parts = token.rsplit_once('-').and_then(|(time, seq)| {
        let nanoseconds = time.parse::<u64>().ok().and_then(|time| i64::try_from(time).ok());
        Some(TickKey {
            time: nanoseconds.map(Timestamp).or_else(|| Timestamp::parse(time))?,
            seq: seq.parse().ok().filter(|&seq| seq <= Tick::MAX_SEQ)?,
        })
    });
    parts.ok_or_else(|| {
        ApiError::invalid_query("after: this is neither the `next` of a page nor the time and seq of a tick")
    })
}

/// Reads a range from its beginning to its end.
#[derive(Debug)]
pub(super) struct Pages {
    store: Arc<dyn Store>,
    /// `None` at the end.
    next: Option<TickQuery>,
}

impl Pages {
    pub(super) fn new(store: Arc<dyn Store>, symbol: Arc<str>, range: TimeRange, after: Option<TickKey>) -> Self {
        Self { store, next: Some(TickQuery { symbol, range, after, newest_first: false, limit: PAGE }) }
    }

    /// The next ticks; none at the end.
    pub(super) async fn next(&mut self) -> tallybook_core::Result<Vec<Tick>> {
        let Some(query) = &mut self.next else { return Ok(Vec::new()) };
        let page = self.store.ticks(query).await?;
        query.after = page.last().map(Tick::key);
        if page.len() < query.limit {
            self.next = None;
        }
        Ok(page)
    }

    /// Calls `each` with every tick of the range.
    pub(super) async fn for_each(mut self, mut each: impl FnMut(&Tick)) -> tallybook_core::Result<()> {
        loop {
            let page = self.next().await?;
            if page.is_empty() {
                return Ok(());
            }
            page.iter().for_each(&mut each);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_its_place() {
        let key = TickKey { time: Timestamp(1_700_000_000_000_000_001), seq: Tick::MAX_SEQ };
        assert_eq!(parse_token(&token(key)).unwrap(), key);
        assert_eq!(parse_token("2023-11-14T22:13:20.000000001Z-9223372036854775807").unwrap(), key);
        for text in ["", "-", "1-", "-1-1", "x-1", "1-9223372036854775808"] {
            assert!(parse_token(text).is_err(), "{text}");
        }
    }
}
