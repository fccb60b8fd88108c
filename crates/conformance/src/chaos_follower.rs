//! A follower that fails on demand.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tallybook_core::{
    Changes, Cursor, Error, ErrorKind, Follower, Readback, Result, Row, StoreId, SymbolSummary, Table, Tick, TickQuery,
    Value,
};

/// Wraps a follower; half of what it is to keep fails: before, after, or in the middle, with a part of the page kept.
#[derive(Debug)]
pub struct ChaosFollower {
    inner: Arc<dyn Follower>,
    random: Mutex<StdRng>,
}

impl ChaosFollower {
    /// The same seed fails in the same places.
    pub fn new(inner: Arc<dyn Follower>, seed: u64) -> Self {
        Self { inner, random: Mutex::new(StdRng::seed_from_u64(seed)) }
    }

    fn dice(&self) -> u8 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..8)
    }
}

fn broken() -> Error {
    Error::new(ErrorKind::Unavailable, "following a primary", "the connection broke").applied_unknown()
}

/// The first half of its rows and ticks, which move the cursor nowhere.
fn half(from: &Cursor, page: &Changes) -> Changes {
    Changes {
        changes: page.changes[..page.changes.len() / 2].to_vec(),
        ticks: page.ticks[..page.ticks.len() / 2].to_vec(),
        next: from.clone(),
        more: true,
    }
}

#[async_trait]
impl Follower for ChaosFollower {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    async fn cursor(&self, primary: StoreId) -> Result<Cursor> {
        if self.dice() == 0 {
            return Err(broken());
        }
        self.inner.cursor(primary).await
    }

    async fn absorb(&self, primary: StoreId, from: &Cursor, page: Changes) -> Result<()> {
        match self.dice() {
            0 => Err(broken()),
            1 => {
                self.inner.absorb(primary, from, half(from, &page)).await?;
                Err(broken())
            }
            2 => {
                self.inner.absorb(primary, from, page).await?;
                Err(broken())
            }
            3 => {
                self.inner.absorb(primary, from, half(from, &page)).await?;
                self.inner.absorb(primary, from, page).await
            }
            _ => self.inner.absorb(primary, from, page).await,
        }
    }

    async fn clear(&self, primary: StoreId) -> Result<()> {
        self.inner.clear(primary).await
    }

    async fn release(&self) -> Result<()> {
        self.inner.release().await
    }
}

#[async_trait]
impl Readback for ChaosFollower {
    async fn read_rows(&self, table: &'static Table, after: Option<&[Value]>, limit: usize) -> Result<Vec<Row>> {
        self.inner.read_rows(table, after, limit).await
    }

    async fn read_symbols(&self) -> Result<Vec<SymbolSummary>> {
        self.inner.read_symbols().await
    }

    async fn read_ticks(&self, query: &TickQuery) -> Result<Vec<Tick>> {
        self.inner.read_ticks(query).await
    }
}
