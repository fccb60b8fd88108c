//! What changed since a cursor: the ground on which mirrors, migration, verification and export stand.

use std::borrow::Cow;

use crate::{Row, Table, Tick};

/// A place in a store's stream of changes. Its text is the store's own affair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub Cow<'static, str>);

impl Cursor {
    /// Before the first change.
    pub const START: Self = Self(Cow::Borrowed(""));
}

/// A row in its present state.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The table it is in.
    pub table: &'static Table,
    /// The revision that changed it last: one number per commit.
    pub revision: u64,
    /// Its values.
    pub row: Row,
}

/// A page of changes, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Changes {
    /// The rows.
    pub changes: Vec<Change>,
    /// Ticks that are new since the cursor, in any order; one may come again that was seen before.
    pub ticks: Vec<Tick>,
    /// Where to go on.
    pub next: Cursor,
    /// Whether more changes wait behind `next` already.
    pub more: bool,
}
