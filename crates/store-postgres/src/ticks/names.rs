//! Symbols and sources as small numbers: what this process knows of them, and how new ones are made.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deadpool_postgres::{GenericClient, Transaction};
use tallybook_core::{Result, Tick};

use crate::commit::OPERATION;
use crate::error::failed;

/// Names in memory; past it all are forgotten, and found anew where they are needed.
const MAX_KNOWN: usize = 100_000;

/// A table of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Symbol,
    Source,
}

/// Numbers of names, as committed.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    ids: HashMap<(Kind, Arc<str>), i32>,
    sources: HashMap<i32, Arc<str>>,
}

/// Names that a transaction has found or made; to be remembered once it is committed.
pub(crate) type NewNames = Vec<(Kind, Arc<str>, i32)>;

impl Kind {
    fn table(self) -> &'static str {
        match self {
            Self::Symbol => "tick_symbol",
            Self::Source => "tick_source",
        }
    }

    pub(super) fn of(self, tick: &Tick) -> &Arc<str> {
        match self {
            Self::Symbol => &tick.symbol,
            Self::Source => &tick.source,
        }
    }
}

impl Names {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers names that are committed.
    pub(crate) fn add(&self, names: NewNames) {
        let mut known = self.known();
        if known.ids.len() + names.len() > MAX_KNOWN {
            *known = Known::default();
        }
        for (kind, name, id) in names {
            if kind == Kind::Source {
                known.sources.insert(id, name.clone());
            }
            known.ids.insert((kind, name), id);
        }
    }

    /// The number of each of the ticks' names, in the ticks' order; unknown ones are made.
    pub(super) async fn ids(
        &self,
        transaction: &Transaction<'_>,
        kind: Kind,
        ticks: &[&Tick],
        new: &mut NewNames,
    ) -> Result<Vec<i32>> {
        let mut ids: HashMap<&str, i32> = HashMap::new();
        let mut missing: Vec<&str> = Vec::new();
        {
            let known = self.known();
            for tick in ticks {
                let name = kind.of(tick);
                if !ids.contains_key(name.as_ref()) {
                    let id = known.ids.get(&(kind, name.clone())).copied();
                    if id.is_none() {
                        missing.push(name);
                    }
                    ids.insert(name, id.unwrap_or_default());
                }
            }
        }
        if !missing.is_empty() {
            let table = kind.table();
            let make = format!("INSERT INTO {table} (name) SELECT unnest($1::text[]) ON CONFLICT (name) DO NOTHING");
            let find = format!("SELECT name, id FROM {table} WHERE name = ANY($1)");
            let error = |error| failed(OPERATION, error);
            transaction.execute(&make, &[&missing]).await.map_err(error)?;
            for row in transaction.query(&find, &[&missing]).await.map_err(error)? {
                let (name, id): (&str, i32) = (row.try_get(0).map_err(error)?, row.try_get(1).map_err(error)?);
                new.push((kind, name.into(), id));
                if let Some(place) = ids.get_mut(name) {
                    *place = id;
                }
            }
        }
        Ok(ticks.iter().map(|tick| ids.get(kind.of(tick).as_ref()).copied().unwrap_or_default()).collect())
    }

    /// The number of a symbol; `None` when there is no such symbol.
    pub(super) async fn symbol(
        &self,
        client: &impl GenericClient,
        name: &Arc<str>,
    ) -> Result<Option<i32>, tokio_postgres::Error> {
        let known = self.known().ids.get(&(Kind::Symbol, name.clone())).copied();
        if known.is_some() || name.contains('\0') {
            return Ok(known);
        }
        let found = client.query_opt("SELECT id FROM tick_symbol WHERE name = $1", &[&name.as_ref()]).await?;
        let id = found.map(|row| row.try_get(0)).transpose()?;
        self.add(id.map(|id| (Kind::Symbol, name.clone(), id)).into_iter().collect());
        Ok(id)
    }

    /// The names of the sources with these numbers.
    pub(super) async fn sources(
        &self,
        client: &impl GenericClient,
        ids: impl Iterator<Item = i32>,
    ) -> Result<HashMap<i32, Arc<str>>, tokio_postgres::Error> {
        let wanted: BTreeSet<i32> = ids.collect();
        let mut names: HashMap<i32, Arc<str>> = {
            let known = self.known();
            wanted.iter().filter_map(|id| Some((*id, known.sources.get(id)?.clone()))).collect()
        };
        let missing: Vec<i32> = wanted.into_iter().filter(|id| !names.contains_key(id)).collect();
        if !missing.is_empty() {
            let mut new = NewNames::new();
            for row in client.query("SELECT name, id FROM tick_source WHERE id = ANY ($1)", &[&missing]).await? {
                let (name, id): (Arc<str>, i32) = (row.try_get::<_, &str>(0)?.into(), row.try_get(1)?);
                names.insert(id, name.clone());
                new.push((Kind::Source, name, id));
            }
            self.add(new);
        }
        Ok(names)
    }
}
