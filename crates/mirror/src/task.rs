//! The task of a mirror: one run after the other, with the pauses between them.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tallybook_core::{Cursor, Follower, Result, Store};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::Progress;
use crate::backoff::Backoff;
use crate::follow::{Run, Step, in_time, run};
use crate::mirror::{MirrorOptions, Opener, Orders, Shared};
use crate::pages::PageLength;
use crate::status::State;

/// While it catches up, what waits is counted this often.
const COUNT_EVERY: Duration = Duration::from_secs(5);
const COUNT_MAX_WAIT: Duration = Duration::from_secs(5);
/// What is refused is looked at again this often: somebody may have put it right.
const REFUSED_WAIT: Duration = Duration::from_secs(30);

pub(crate) struct Task {
    primary: Arc<dyn Store>,
    follower: Option<Arc<dyn Follower>>,
    open: Opener,
    wakes: watch::Receiver<u64>,
    orders: watch::Receiver<Orders>,
    shared: Arc<Shared>,
    options: MirrorOptions,
    length: PageLength,
    progress: Progress,
    backoff: Backoff,
    rebuilds: u64,
}

impl Task {
    pub(crate) fn new(
        primary: Arc<dyn Store>,
        follower: Option<Arc<dyn Follower>>,
        open: Opener,
        wakes: watch::Receiver<u64>,
        shared: Arc<Shared>,
        options: MirrorOptions,
    ) -> Self {
        let orders = shared.orders.subscribe();
        Self {
            primary,
            follower,
            open,
            wakes,
            orders,
            shared,
            options,
            length: PageLength::new(),
            progress: Progress::default(),
            backoff: Backoff::new(),
            rebuilds: 0,
        }
    }

    pub(crate) async fn run(mut self) {
        loop {
            let orders = *self.orders.borrow_and_update();
            if orders.paused && orders.stop_by.is_some() {
                break;
            }
            if orders.paused {
                // Others may look at it meanwhile: a file belongs to whoever has it open.
                self.let_go().await;
                self.shared.set_state(State::Paused);
                self.shared.behind_since(Instant::now());
                self.ordered().await;
                continue;
            }
            let begun = Instant::now();
            self.wakes.mark_unchanged();
            match self.round(orders).await {
                Ok(Run::CaughtUp(at)) => {
                    self.backoff.reset();
                    self.shared.caught_up(at);
                    if orders.stop_by.is_some() {
                        break;
                    }
                    self.rest(begun).await;
                }
                Ok(Run::Interrupted) => {}
                Err(error) => {
                    let first = self.shared.failed(&error);
                    if first {
                        tracing::warn!(%error, "the mirror does not follow; it is tried again");
                    }
                    let wait = if error.is_retryable() { self.backoff.next() } else { REFUSED_WAIT };
                    self.wait_until(Instant::now() + wait).await;
                    if self.orders.borrow().stop_by.is_some_and(|by| by <= Instant::now()) {
                        break;
                    }
                }
            }
        }
        self.let_go().await;
        self.shared.set_state(State::Stopped);
    }

    async fn let_go(&mut self) {
        if let Some(follower) = self.follower.take()
            && let Err(error) = follower.release().await
        {
            tracing::warn!(%error, "the mirror could not be closed");
        }
    }

    /// Follows to the end, or to the next order.
    async fn round(&mut self, orders: Orders) -> Result<Run> {
        let follower = self.follower().await?;
        if self.rebuilds < orders.rebuilds {
            self.shared.set_state(State::Rebuilding);
            in_time(follower.clear(self.primary.info().id)).await?;
            self.rebuilds = orders.rebuilds;
            self.shared.began_anew();
        }
        let Self { primary, shared, orders, length, progress, wakes, .. } = self;
        let mut counted = Instant::now();
        let mut count_at: Option<Cursor> = None;
        let ended = loop {
            let look = |step: Step<'_>| {
                shared.kept(*step.progress, step.more);
                if step.more && counted.elapsed() >= COUNT_EVERY {
                    count_at = Some(step.cursor.clone());
                    return ControlFlow::Break(());
                }
                let changed = orders.has_changed().unwrap_or(true);
                if changed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let ended = run(&**primary, &*follower, length, progress, Some(wakes.clone()), look).await?;
            let Some(cursor) = count_at.take() else { break ended };
            // For people: a count that fails or takes long is left out.
            if let Ok(Ok(records)) = timeout(COUNT_MAX_WAIT, primary.behind(&cursor)).await {
                shared.lags(records);
            }
            counted = Instant::now();
        };
        Ok(ended)
    }

    async fn follower(&mut self) -> Result<Arc<dyn Follower>> {
        let follower = match self.follower.clone() {
            Some(follower) => follower,
            None => in_time((self.open)()).await?,
        };
        self.shared.opened(&follower.describe());
        self.follower = Some(follower.clone());
        Ok(follower)
    }

    /// Waits for the next commit, or until it is time to look; never shorter than the interval, nor than half of what the
    /// last run took, so that a mirror takes no more than its share.
    async fn rest(&mut self, begun: Instant) {
        let least = begun + self.options.min_interval.max(begun.elapsed().mul_f64(1.5));
        if self.wait_until(least).await {
            return;
        }
        let poll = Instant::now() + self.options.poll_interval;
        let woken = tokio::select! {
            changed = self.wakes.changed() => changed.is_ok(),
            _ = self.orders.changed() => true,
            () = sleep_until(poll) => true,
        };
        if !woken {
            // Nobody commits any more: the server stops, and says so next.
            self.wait_until(poll).await;
        }
    }

    /// Says whether an order came first.
    async fn wait_until(&mut self, moment: Instant) -> bool {
        tokio::select! {
            _ = self.orders.changed() => true,
            () = sleep_until(moment) => false,
        }
    }

    async fn ordered(&mut self) {
        // The handle that could be gone is what this task shares its orders with, so it is there.
        let _ = self.orders.changed().await;
    }
}
