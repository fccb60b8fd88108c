//! Records read from a store, or from the server that holds it.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use tallybook_core::{Condition, Ping, PingSeen, Query, Store, StoreExt, Tick, TickQuery, TimeRange, Timestamp, Value};
use tallybook_formats::{Format, Reader};

use crate::place::{Brought, Reached};
use crate::remote::Remote;

/// Records that are read of a store at a time.
const PAGE: usize = 20_000;

/// A symbol or target, and how many records it has where that is known.
pub(crate) struct Name {
    pub(crate) name: Arc<str>,
    pub(crate) count: Option<u64>,
}

/// A family that can be read.
pub(crate) trait Kept: Brought {
    /// Where the API lists names, and the field of an item that is the name.
    const NAMES: (&'static str, &'static str);

    /// The names that have records in a range, at least; sorted.
    async fn names(store: &dyn Store, range: TimeRange) -> Result<Vec<Name>>;

    /// Gives the records of a name in a range to `each`, a page at a time, by time.
    async fn each(
        store: &dyn Store,
        name: &Arc<str>,
        range: TimeRange,
        each: &mut (dyn FnMut(&[Self]) -> Result<()> + Send),
    ) -> Result<()>;

    /// What tells it apart from others of the same name and time.
    fn seq(&self) -> u64;
}

impl Kept for Tick {
    const NAMES: (&'static str, &'static str) = ("symbols", "symbol");

    async fn names(store: &dyn Store, range: TimeRange) -> Result<Vec<Name>> {
        let symbols = store.symbols(range).await?;
        Ok(symbols.into_iter().map(|found| Name { name: found.symbol, count: Some(found.count) }).collect())
    }

    async fn each(
        store: &dyn Store,
        name: &Arc<str>,
        range: TimeRange,
        each: &mut (dyn FnMut(&[Self]) -> Result<()> + Send),
    ) -> Result<()> {
        let mut query = TickQuery { symbol: name.clone(), range, after: None, newest_first: false, limit: PAGE };
        loop {
            let page = store.ticks(&query).await?;
            each(&page)?;
            query.after = page.last().map(Tick::key);
            if page.len() < PAGE {
                return Ok(());
            }
        }
    }

    fn seq(&self) -> u64 {
        self.seq
    }
}

impl Kept for Ping {
    const NAMES: (&'static str, &'static str) = ("targets", "target");

    async fn names(store: &dyn Store, _range: TimeRange) -> Result<Vec<Name>> {
        let seen = store.list_all::<PingSeen>(Query::new(PAGE)).await?;
        Ok(seen.into_iter().map(|seen| Name { name: seen.target, count: None }).collect())
    }

    async fn each(
        store: &dyn Store,
        name: &Arc<str>,
        range: TimeRange,
        each: &mut (dyn FnMut(&[Self]) -> Result<()> + Send),
    ) -> Result<()> {
        let mut query = Query::new(PAGE)
            .filter(Condition::Equals("target", Value::Text(name.clone())))
            .filter(Condition::AtLeast("time", range.from.into()))
            .filter(Condition::AtMost("time", range.to.earlier(1).into()));
        loop {
            let page = store.list::<Self>(&query).await?;
            each(&page.items)?;
            query.after = page.next;
            if query.after.is_none() {
                return Ok(());
            }
        }
    }

    fn seq(&self) -> u64 {
        0
    }
}

impl Reached {
    /// What it is called.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Store(store) => format!("the {} store", store.info().name),
            Self::Server(remote) => remote.to_string(),
        }
    }

    /// The names that have records in a range, at least; sorted.
    pub(crate) async fn names<R: Kept>(&self, range: TimeRange) -> Result<Vec<Name>> {
        let remote = match self {
            Self::Store(store) => return R::names(store.as_ref(), range).await,
            Self::Server(remote) => remote,
        };
        let (path, field) = R::NAMES;
        let query = [("from", range.from.to_string()), ("to", range.to.to_string())];
        let items = remote.list(path, &query).await?;
        let name = |item: serde_json::Value| {
            let name = item[field].as_str().with_context(|| format!("the server's {path} have no `{field}`"))?;
            Ok(Name { name: name.into(), count: item["total"].as_u64() })
        };
        items.into_iter().map(name).collect()
    }

    /// Gives the records of a name in a range to `each`, a page at a time, by time.
    pub(crate) async fn each<R: Kept>(
        &self,
        name: &Arc<str>,
        range: TimeRange,
        mut each: impl FnMut(&[R]) -> Result<()> + Send,
    ) -> Result<()> {
        match self {
            Self::Store(store) => R::each(store.as_ref(), name, range, &mut each).await,
            Self::Server(remote) => download(remote, name, range, &mut each).await,
        }
    }

    /// Whether there is this record.
    pub(crate) async fn holds<R: Kept>(&self, name: &str, time: Timestamp, seq: u64) -> Result<bool> {
        let range = TimeRange { from: time, to: Timestamp(time.0.saturating_add(1)) };
        let mut found = false;
        let look = |page: &[R]| {
            found |= page.iter().any(|record| record.seq() == seq);
            Ok(())
        };
        self.each::<R>(&name.into(), range, look).await?;
        Ok(found)
    }

    /// Lets go of the store.
    pub(crate) async fn close(&self) -> Result<()> {
        match self {
            Self::Store(store) => store.close().await.context("closing the store"),
            Self::Server(_) => Ok(()),
        }
    }
}

async fn download<R: Kept>(
    remote: &Remote,
    name: &Arc<str>,
    range: TimeRange,
    each: &mut (dyn FnMut(&[R]) -> Result<()> + Send),
) -> Result<()> {
    let query = [
        (R::NAMES.1, name.to_string()),
        ("from", range.from.to_string()),
        ("to", range.to.to_string()),
        ("format", "csv".to_owned()),
    ];
    let mut response = remote.get(&format!("{}/export", R::WORD), &query).await?;
    let mut reader = Reader::<R>::new(Format::Csv, Timestamp(0));
    while let Some(chunk) = response.chunk().await.context("the server's answer broke off")? {
        let read = reader.push(&chunk);
        anyhow::ensure!(read.bad.is_empty(), "the server sent what is no record: {:?}", read.bad.first());
        each(&read.records)?;
    }
    each(&reader.finish()?.records)
}
