//! The task of a lane: when it commits, which requests share a commit, and what they are told.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tallybook_core::{Counts, Records, Store};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::commit::{Committer, Outcome};
use crate::feed::Emptied;
use crate::jitter::Jitters;
use crate::lane::{Answer, Lane, Request};
use crate::ledger::Settled;
use crate::refusals::RefusedPart;
use crate::send::Sender;
use crate::shared::{Shared, later};
use crate::task::PAUSE_PER_FLUSH;

/// How long the first pings wait for what the store knows of others; where it does not answer, they have no jitter.
const LEARN_MAX_WAIT: Duration = Duration::from_secs(1);

pub(crate) struct LaneTask {
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
    lane: Arc<Lane>,
    committer: Committer,
    emptied: Emptied,
    jitters: Jitters,
    stop: watch::Receiver<Option<Instant>>,
    /// When the pause after the last commit is over.
    rested_at: Instant,
}

impl LaneTask {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        shared: Arc<Shared>,
        lane: Arc<Lane>,
        stop: watch::Receiver<Option<Instant>>,
    ) -> Self {
        let committer = Committer::new(Sender::new(store.clone(), shared.clone(), stop.clone(), lane.family));
        let (emptied, jitters) = (Emptied::default(), Jitters::default());
        Self { store, shared, lane, committer, emptied, jitters, stop, rested_at: Instant::now() }
    }

    /// Runs until a stop; says what kept it where it had to give up.
    pub(crate) async fn run(mut self) -> Option<Arc<str>> {
        loop {
            let last = self.wait().await;
            let mut requests = self.shared.drain(&self.lane, &mut self.emptied);
            self.fill_jitters(&mut requests).await;
            let mut busy = Duration::ZERO;
            while let Some(group) = next_group(&mut requests, self.lane.options.max_commit_records) {
                let flushed = self.commit(group).await;
                busy += flushed.busy;
                if let Some(error) = flushed.abandoned {
                    abandon(requests, &error);
                    // Nobody enters any more; those who did since are told.
                    abandon(self.shared.drain(&self.lane, &mut self.emptied), &error);
                    return Some(error);
                }
            }
            self.rested_at = later(Instant::now(), busy.saturating_mul(PAUSE_PER_FLUSH));
            if last {
                return None;
            }
        }
    }

    async fn fill_jitters(&mut self, requests: &mut VecDeque<Request>) {
        if requests.iter().all(|request| request.records.pings.is_empty()) {
            return;
        }
        if let Ok(Ok(())) = timeout(LEARN_MAX_WAIT, self.jitters.learn(&*self.store)).await {
            for request in requests {
                self.jitters.fill(&mut request.records.pings);
            }
        }
    }

    /// Waits until a commit is due; says whether it is the last one.
    async fn wait(&mut self) -> bool {
        let mut oldest = None;
        loop {
            if oldest.is_none() && self.shared.waits(&self.lane) {
                oldest = Some(Instant::now());
            }
            let paced = |oldest| self.rested_at.min(later(oldest, self.shared.options.max_delay));
            let due_at = oldest.map(|oldest| if self.lane.is_early() { oldest } else { paced(oldest) });
            let due = async {
                match due_at {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                _ = self.stop.wait_for(Option::is_some) => return true,
                () = due => return false,
                () = self.lane.wake.notified() => {}
            }
        }
    }

    /// Commits requests together, or each by itself where the store refuses them so. The others are told where the writer
    /// had to give up.
    async fn commit(&mut self, group: Vec<Request>) -> Flushed {
        let begun = Instant::now();
        let mut flushed = Flushed::default();
        let group = if group.len() > 1 { self.commit_together(group, &mut flushed).await } else { group };
        let mut requests = group.into_iter();
        while flushed.abandoned.is_none() {
            let Some(request) = requests.next() else { break };
            self.commit_alone(request, &mut flushed).await;
        }
        if let Some(error) = &flushed.abandoned {
            abandon(requests, error);
        }
        flushed.busy = begun.elapsed().saturating_sub(flushed.waited);
        self.shared.ledger().flushed(self.lane.family, flushed.busy);
        flushed
    }

    /// Commits requests as one batch; gives them back as they were where the store refuses it.
    async fn commit_together(&mut self, mut group: Vec<Request>, flushed: &mut Flushed) -> Vec<Request> {
        let (mut joined, mut refused, mut shares) = (Records::default(), Vec::new(), Vec::new());
        let count = |of: fn(&Records) -> usize| group.iter().map(|request| of(&request.records)).sum();
        joined.pings.reserve_exact(count(|records| records.pings.len()));
        joined.ticks.reserve_exact(count(|records| records.ticks.len()));
        for request in &mut group {
            shares.push(Share { records: request.good(), rejected: request.refused.len() });
            refused.append(&mut request.refused);
            joined.pings.append(&mut request.records.pings);
            joined.ticks.append(&mut request.records.ticks);
            // Cheap, and where they are refused together each request has its own still.
            joined.executions.append(request.records.executions.clone());
        }
        let outcome = match self.committer.commit_whole(joined, refused).await {
            Ok(outcome) => outcome,
            Err((joined, refused)) => {
                take_apart(&mut group, &shares, joined, refused);
                return group;
            }
        };
        self.settle(outcome.settled(), group.iter().map(|request| request.bytes).sum());
        flushed.add(&outcome);
        match &flushed.abandoned {
            Some(error) => abandon(group, error),
            None => {
                for (request, share) in group.into_iter().zip(shares) {
                    request.answer(share.of(outcome.counts));
                }
            }
        }
        Vec::new()
    }

    /// Commits one request, in several batches where it is long.
    async fn commit_alone(&mut self, mut request: Request, flushed: &mut Flushed) {
        let Records { mut pings, mut ticks, executions, .. } = std::mem::take(&mut request.records);
        for part in request.refused.drain(..) {
            pings.extend(part.records.pings);
            ticks.extend(part.records.ticks);
        }
        let max = self.lane.options.max_commit_records;
        let pings = parts(pings, max).into_iter().map(|pings| Records { pings, ..Records::default() });
        let ticks = parts(ticks, max).into_iter().map(|ticks| Records { ticks, ..Records::default() });
        let mut settled = Settled::default();
        // Never in parts: the row of the execution says that all its events are here.
        let executions = (!executions.is_empty()).then(|| Records { executions, ..Records::default() });
        for part in pings.chain(ticks).chain(executions) {
            let outcome = self.committer.commit(part).await;
            self.settle(outcome.settled(), 0);
            settled.add(outcome.settled());
            flushed.add(&outcome);
            if let Some(error) = &flushed.abandoned {
                return request.answer(Answer::Abandoned { error: error.clone() });
            }
        }
        self.lane.leave(0, request.bytes);
        let Settled { counts, rejected } = settled;
        request.answer(Answer::Settled { counts, rejected, shared_repeats: 0 });
    }

    /// Counts records where they are now, and gives their room to others.
    fn settle(&self, settled: Settled, bytes: usize) {
        self.shared.ledger().settle(self.lane.family, settled);
        self.lane.leave(settled.records() as usize, bytes);
    }
}

/// What became of a group of requests.
#[derive(Debug, Default)]
struct Flushed {
    /// The time at work.
    busy: Duration,
    /// The time between retries.
    waited: Duration,
    /// What kept the writer, where it had to give up.
    abandoned: Option<Arc<str>>,
}

impl Flushed {
    fn add(&mut self, outcome: &Outcome) {
        self.waited += outcome.waited;
        self.abandoned = self.abandoned.take().or_else(|| outcome.abandoned.clone());
    }
}

/// What one request has in a commit with others.
#[derive(Clone, Copy, Debug)]
struct Share {
    records: usize,
    rejected: usize,
}

impl Share {
    /// What is known of it when the commit as a whole came to `all`.
    fn of(self, all: Counts) -> Answer {
        let records = self.records as u64;
        let none = Counts::default();
        let (counts, shared_repeats) = match all {
            Counts { merged: 0, duplicate: 0, .. } => (Counts { stored: records, ..none }, 0),
            Counts { stored: 0, merged: 0, .. } => (Counts { duplicate: records, ..none }, 0),
            Counts { stored: 0, duplicate: 0, .. } => (Counts { merged: records, ..none }, 0),
            _ => (Counts { stored: records, ..none }, records.min(all.merged + all.duplicate)),
        };
        Answer::Settled { counts, rejected: self.rejected as u64, shared_repeats }
    }
}

/// The next requests that fit into one commit; at least one.
fn next_group(requests: &mut VecDeque<Request>, max_records: usize) -> Option<Vec<Request>> {
    let first = requests.pop_front()?;
    let mut records = first.len();
    let mut group = vec![first];
    while requests.front().is_some_and(|next| records + next.len() <= max_records) {
        let next = requests.pop_front();
        records += next.as_ref().map_or(0, Request::len);
        group.extend(next);
    }
    Some(group)
}

/// Gives every request the pings and ticks it had.
fn take_apart(group: &mut [Request], shares: &[Share], joined: Records, refused: Vec<RefusedPart>) {
    let (mut pings, mut ticks) = (joined.pings.into_iter(), joined.ticks.into_iter());
    let mut refused = refused.into_iter();
    for (request, share) in group.iter_mut().zip(shares) {
        // A lane has records of one kind; of the other there are none to take.
        request.records.pings.extend(pings.by_ref().take(share.records));
        request.records.ticks.extend(ticks.by_ref().take(share.records));
        request.refused.extend(refused.by_ref().take(share.rejected));
    }
}

/// Parts of at most `max` records, in their order.
fn parts<R>(records: Vec<R>, max: usize) -> Vec<Vec<R>> {
    if records.len() <= max {
        return vec![records];
    }
    let mut rest = records.into_iter();
    std::iter::from_fn(|| Some(rest.by_ref().take(max.max(1)).collect::<Vec<R>>()).filter(|part| !part.is_empty()))
        .collect()
}

fn abandon(requests: impl IntoIterator<Item = Request>, error: &Arc<str>) {
    for request in requests {
        request.answer(Answer::Abandoned { error: error.clone() });
    }
}
