//! Pages from a primary to a follower: the one loop that the mirror and a move share.

use std::ops::ControlFlow;
use std::time::Duration;

use tallybook_core::{Changes, Cursor, Error, ErrorKind, Follower, Result, Store};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::pages::PageLength;

/// A follower that keeps no page within this time is taken for lost.
const PAGE_MAX_WAIT: Duration = Duration::from_secs(120);

/// While its primary takes writes, a follower that is behind rests for so many times what a page took: it has a quarter of the
/// time, which is what keeps its cost to the primary in bounds on a machine that both share.
const REST_PER_PAGE: u32 = 3;
/// The longest rest, in which an order waits.
const REST_MAX: Duration = Duration::from_secs(1);

/// What was kept so far, since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows of tables, each as often as it changed between pages.
    pub rows: u64,
    /// Ticks; one may come again.
    pub ticks: u64,
    /// Pages.
    pub pages: u64,
}

impl Progress {
    /// Rows and ticks.
    pub fn records(&self) -> u64 {
        self.rows + self.ticks
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// Everything that was there at that moment is kept.
    CaughtUp(Instant),
    /// Whoever looked on asked for it.
    Interrupted,
}

/// Where a run is, after each page.
pub(crate) struct Step<'a> {
    pub(crate) progress: &'a Progress,
    pub(crate) cursor: &'a Cursor,
    /// Whether more waits.
    pub(crate) more: bool,
}

/// Follows `primary` until nothing more waits. While a page is kept, the next one is read. `wakes` changes with each commit of
/// the primary, where it is one that others write to and that must not be slowed down.
///
/// # Errors
/// What the one or the other answered; a later run goes on from where the follower is.
pub(crate) async fn run(
    primary: &dyn Store,
    follower: &dyn Follower,
    length: &mut PageLength,
    progress: &mut Progress,
    mut wakes: Option<watch::Receiver<u64>>,
    mut look: impl FnMut(Step<'_>) -> ControlFlow<()> + Send,
) -> Result<Run> {
    let id = primary.info().id;
    let mut cursor = in_time(follower.cursor(id)).await?;
    let mut read_at = Instant::now();
    let mut page = primary.changes(&cursor, length.rows()).await?;
    loop {
        let Changes { changes, ticks, next, more } = &page;
        if changes.is_empty() && ticks.is_empty() && *next == cursor {
            return Ok(Run::CaughtUp(read_at));
        }
        length.learn(&page);
        let (rows, ticks, next, more) = (changes.len() as u64, ticks.len() as u64, next.clone(), *more);
        let reading_at = Instant::now();
        wakes.iter_mut().for_each(watch::Receiver::mark_unchanged);
        let read = async { if more { Some(primary.changes(&next, length.rows()).await) } else { None } };
        let (kept, read) = tokio::join!(in_time(follower.absorb(id, &cursor, page)), read);
        kept?;
        progress.rows += rows;
        progress.ticks += ticks;
        progress.pages += 1;
        cursor = next;
        if look(Step { progress, cursor: &cursor, more }).is_break() {
            return Ok(Run::Interrupted);
        }
        let primary_is_busy = wakes.as_ref().is_some_and(|wakes| wakes.has_changed().unwrap_or(false));
        if more && primary_is_busy {
            sleep((reading_at.elapsed() * REST_PER_PAGE).min(REST_MAX)).await;
        }
        match read {
            None => return Ok(Run::CaughtUp(read_at)),
            Some(next_page) => page = next_page?,
        }
        read_at = reading_at;
    }
}

pub(crate) async fn in_time<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(PAGE_MAX_WAIT, call).await.unwrap_or_else(|_| {
        let context = format!("it did not answer within {} s; it is tried again", PAGE_MAX_WAIT.as_secs());
        Err(Error::new(ErrorKind::Unavailable, "following a primary", context).applied_unknown())
    })
}
