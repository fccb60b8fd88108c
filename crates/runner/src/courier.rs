//! Brings events from the spool to where they belong.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use tallybook_core::{ExecutionEvent, ExecutionEventKind};

use crate::spool::{Adopted, Spool, SpoolReader, adopt};

/// About what is sent at once.
const MAX_BYTES: u64 = 2 << 20;
/// Executions that are brought on at the same time, so that one commit serves many.
const AT_ONCE: usize = 64;

/// A run that is silent is asked for after this time: somebody may want it to end.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// Where events are recorded.
#[async_trait]
pub trait Destination: fmt::Debug + Send + Sync {
    /// Records events of an execution, in order; those it has already change nothing. Answered once they are durable. Of an
    /// execution that is silent there are none, and only the answer counts.
    async fn take(&self, id: &str, events: &[ExecutionEvent]) -> Result<Taken, NotTaken>;
}

/// What a destination says once events are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Whether somebody wants the execution to end.
    pub cancel: bool,
}

/// Why events were not recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// For now: the same may work later.
    #[error("{0}")]
    Yet(String),
    /// For ever.
    #[error("{0}")]
    Refused(String),
}

impl From<io::Error> for NotTaken {
    fn from(error: io::Error) -> Self {
        Self::Yet(format!("the spool cannot be read: {error}"))
    }
}

/// How far a spool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// Everything there is so far; more may come.
    SoFar,
    /// Everything, and the spool is removed.
    Whole,
    /// It is not for here.
    NotOurs,
}

/// Follows the spools of a data folder that are for one destination.
#[derive(Debug)]
pub struct Courier {
    spool: Spool,
    /// The server the events are for, as spools name it.
    server: Option<String>,
    /// How far each is; events that were read and not taken stay here.
    open: HashMap<String, Open>,
}

#[derive(Debug)]
struct Open {
    reader: SpoolReader,
    unsent: Vec<ExecutionEvent>,
    /// When the destination answered last.
    answered_at: Instant,
}

/// What a look at all spools came to.
#[derive(Debug, Default)]
pub struct Round {
    /// Spools whose events may still come.
    pub live: usize,
    /// Executions whose last event was taken over.
    pub whole: usize,
    /// Events that were taken over.
    pub events: usize,
    /// What could not be, and why.
    pub failed: Vec<(String, NotTaken)>,
}

impl Courier {
    /// For the spools that are for `server`, or without one for the store of the data folder.
    pub fn new(spool: Spool, server: Option<String>) -> Self {
        Self { spool, server, open: HashMap::new() }
    }

    /// Brings on every spool once. A spool whose run is dead gets its end first.
    ///
    /// # Errors
    /// When the folder cannot be read; what happens to one spool is in the answer.
    pub async fn round(&mut self, destination: &dyn Destination) -> io::Result<Round> {
        let ids = self.spool.ids()?;
        self.open.retain(|id, _| ids.binary_search(id).is_ok());
        let spools: Vec<(String, Option<Open>)> =
            ids.into_iter().map(|id| (id.clone(), self.open.remove(&id))).collect();
        let (spool, server) = (&self.spool, self.server.as_deref());
        let mut brought = stream::iter(spools)
            .map(|(id, open)| async move {
                let mut open = open;
                let mut events = 0;
                let delivered = bring(spool, server, &id, &mut open, destination, &mut events).await;
                (id, open, events, delivered)
            })
            .buffer_unordered(AT_ONCE);
        let mut round = Round::default();
        let mut still_open = HashMap::new();
        while let Some((id, open, events, delivered)) = brought.next().await {
            round.events += events;
            match delivered {
                Ok(Delivered::SoFar) => round.live += 1,
                Ok(Delivered::Whole) => round.whole += 1,
                Ok(Delivered::NotOurs) => {}
                Err(error) => round.failed.push((id.clone(), error)),
            }
            if let Some(open) = open {
                still_open.insert(id, open);
            }
        }
        drop(brought);
        self.open = still_open;
        Ok(round)
    }

    /// Brings on one spool.
    ///
    /// # Errors
    /// Why its events are not taken; they stay in the spool, unless they are refused for ever.
    pub async fn bring(&mut self, id: &str, destination: &dyn Destination) -> Result<Delivered, NotTaken> {
        let mut open = self.open.remove(id);
        let delivered = bring(&self.spool, self.server.as_deref(), id, &mut open, destination, &mut 0).await;
        if let Some(open) = open {
            self.open.insert(id.to_owned(), open);
        }
        delivered
    }
}

async fn bring(
    spool: &Spool,
    server: Option<&str>,
    id: &str,
    open: &mut Option<Open>,
    destination: &dyn Destination,
    sent: &mut usize,
) -> Result<Delivered, NotTaken> {
    let Open { reader, unsent, answered_at } = match open {
        Some(open) => open,
        None => match SpoolReader::open(spool, id)? {
            Some(reader) if reader.server() == server => {
                open.insert(Open { reader, unsent: Vec::new(), answered_at: Instant::now() })
            }
            _ => return Ok(Delivered::NotOurs),
        },
    };
    let mut orphan = None;
    loop {
        if unsent.is_empty() {
            *unsent = reader.events(MAX_BYTES)?;
        }
        if unsent.is_empty() {
            if orphan.is_some() {
                return Ok(Delivered::SoFar);
            }
            match adopt(spool, id)? {
                Adopted::Alive => {
                    if answered_at.elapsed() >= ASK_EVERY {
                        obey(spool, id, destination.take(id, &[]).await?)?;
                        *answered_at = Instant::now();
                    }
                    return Ok(Delivered::SoFar);
                }
                Adopted::Empty => {
                    spool.remove(id)?;
                    return Ok(Delivered::Whole);
                }
                // Its end can be read now.
                Adopted::Ours(held) => orphan = Some(held),
            }
            continue;
        }
        match destination.take(id, unsent).await {
            Ok(taken) => obey(spool, id, taken)?,
            Err(NotTaken::Refused(why)) => {
                let aside = spool.put_aside(id)?;
                return Err(NotTaken::Refused(format!("{why}; {aside}")));
            }
            Err(yet) => return Err(yet),
        }
        *answered_at = Instant::now();
        *sent += unsent.len();
        let is_whole = matches!(unsent.last().map(|last| &last.kind), Some(ExecutionEventKind::Finished { .. }));
        unsent.clear();
        if is_whole {
            spool.remove(id)?;
            return Ok(Delivered::Whole);
        }
    }
}

fn obey(spool: &Spool, id: &str, taken: Taken) -> io::Result<()> {
    if taken.cancel && !spool.is_asked_to_cancel(id) {
        spool.ask_to_cancel(id)?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "courier_tests.rs"]
mod tests;
