//! How a store, or a mirror that is no store of its own, follows a primary.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use uuid::Uuid;

use crate::{
    Changes, Cursor, Error, ErrorKind, Position, Query, Result, Row, Store, SymbolSummary, Table, Tick, TickQuery,
    TimeRange, Timestamp, Value,
};

const FOLLOWING: &str = "following a primary";

/// Names a store: minted when it is created, and kept in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(pub Uuid);

impl StoreId {
    /// A new one.
    pub fn mint() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for StoreId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let id = text.parse().map(Self);
        id.map_err(|_| Error::corrupt(FOLLOWING, format!("`{text}` is not the id of a store; restore a backup")))
    }
}

/// What follows a primary. The contract; the conformance suite has a case for each promise:
///
/// 1. `absorb` makes every row what it is in the primary, by its key, with sketches as they are, and keeps every tick once,
///    by its key. The same page again, or an older one, changes nothing that is newer.
/// 2. The cursor moves when the rows are kept, in the same transaction or behind them, never before.
/// 3. A follower follows one primary. Asked for another one, or where it holds records that came another way, it answers
///    `Invalid` and changes nothing until [`Follower::clear`].
/// 4. `clear` removes everything it holds; the primary is then followed from [`Cursor::START`].
/// 5. An error may leave a page kept in part. Absorbing it again from [`Follower::cursor`] makes it whole.
#[async_trait]
pub trait Follower: Readback + fmt::Debug + Send + Sync + 'static {
    /// What it is and where, for people: the engine, its version and address, never a password.
    fn describe(&self) -> String;

    /// How far it has followed `primary`; [`Cursor::START`] where it is empty.
    async fn cursor(&self, primary: StoreId) -> Result<Cursor>;

    /// Keeps a page that was read at the cursor `from`, and then its `next` as the cursor.
    async fn absorb(&self, primary: StoreId, from: &Cursor, page: Changes) -> Result<()>;

    /// Removes everything, to follow `primary` from the start.
    async fn clear(&self, primary: StoreId) -> Result<()>;

    /// Puts everything on disk and lets go of it.
    async fn release(&self) -> Result<()>;
}

/// Reads everything back in the order of keys, so that two stores, or a store and its mirror, can be compared.
#[async_trait]
pub trait Readback {
    /// Up to `limit` rows of a table, sketches included, whose key lies behind `after`.
    async fn read_rows(&self, table: &'static Table, after: Option<&[Value]>, limit: usize) -> Result<Vec<Row>>;

    /// All symbols that have ticks, by name.
    async fn read_symbols(&self) -> Result<Vec<SymbolSummary>>;

    /// A page of ticks, as [`crate::TickStore::ticks`] gives it.
    async fn read_ticks(&self, query: &TickQuery) -> Result<Vec<Tick>>;
}

#[async_trait]
impl<S: Store + ?Sized> Readback for S {
    async fn read_rows(&self, table: &'static Table, after: Option<&[Value]>, limit: usize) -> Result<Vec<Row>> {
        let mut query = Query::new(limit).with_sketches();
        query.after = after.map(|key| Position::of_key(table, key));
        Ok(self.select(table, &query).await?.rows)
    }

    async fn read_symbols(&self) -> Result<Vec<SymbolSummary>> {
        self.symbols(TimeRange { from: Timestamp(i64::MIN), to: Timestamp(i64::MAX) }).await
    }

    async fn read_ticks(&self, query: &TickQuery) -> Result<Vec<Tick>> {
        self.ticks(query).await
    }
}

/// Which primary a follower follows, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Following {
    /// The primary.
    pub primary: StoreId,
    /// How far.
    pub cursor: Cursor,
}

impl Following {
    /// Where a follower goes on that remembers `known`. `own` is its own id, where it has one; `is_empty` says whether it
    /// holds nothing.
    ///
    /// # Errors
    /// `Invalid` where it may not follow `primary`, with what to do.
    pub fn resume(known: Option<Self>, own: Option<StoreId>, is_empty: bool, primary: StoreId) -> Result<Cursor> {
        if own == Some(primary) {
            return Err(Error::invalid(FOLLOWING, "a store cannot follow itself; name another one"));
        }
        match known {
            Some(known) if known.primary == primary => Ok(known.cursor),
            Some(known) => Err(Error::invalid(
                FOLLOWING,
                format!(
                    "it holds what came from the store {}, not from {primary}; rebuild it, which empties it first, or \
                     choose another place",
                    known.primary
                ),
            )),
            None if is_empty => Ok(Cursor::START),
            None => Err(Error::invalid(
                FOLLOWING,
                "it holds records of its own; rebuild it, which removes them, or choose an empty place",
            )),
        }
    }

    /// Whether a page that was read at `from` follows what is kept.
    ///
    /// # Errors
    /// `Unavailable` where somebody else has moved the cursor meanwhile: go on from where it is now.
    pub fn check(kept: &Cursor, from: &Cursor) -> Result<()> {
        if kept == from {
            return Ok(());
        }
        let context =
            "the page was read at a cursor that is not the present one: somebody else follows into it as well";
        Err(Error::new(ErrorKind::Unavailable, FOLLOWING, context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_follower_or_one_of_this_primary_goes_on() {
        let (ours, theirs) = (StoreId::mint(), StoreId::mint());
        let known = |primary| Some(Following { primary, cursor: Cursor("5".into()) });
        let resume = |known, own, is_empty| Following::resume(known, own, is_empty, ours).ok();
        assert_eq!(resume(None, None, true), Some(Cursor::START));
        assert_eq!(resume(known(ours), Some(theirs), false), Some(Cursor("5".into())));
        assert_eq!(resume(known(theirs), None, false), None);
        assert_eq!(resume(None, None, false), None);
        assert_eq!(resume(None, Some(ours), true), None);
        assert_eq!(ours.to_string().parse::<StoreId>().ok(), Some(ours));
    }
}
