//! The hot path of ticks: what is remembered of each symbol, and the queue of those that were offered one by one. Split by
//! symbol into shards, each under a lock that is held for less than a microsecond.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tallybook_core::{Decimal, Tick, TickFlags, Timestamp, hash_bytes};

use crate::numbers::{Latest, Numbers};
use crate::ring::{Budget, Ring};
use crate::{Stats, TickOptions};

/// Enough that a few producers seldom meet.
const SHARDS: usize = 16;
/// Room that a list keeps after a burst, in ticks.
const KEPT_ROOM: usize = 4_096;

#[derive(Debug)]
pub(crate) struct Feed {
    shards: [Mutex<Shard>; SHARDS],
    numbers: Numbers,
    ring_budget: Budget,
    drop_identical: bool,
    max_symbols: usize,
    symbols: AtomicUsize,
    /// Ticks of symbols that are not remembered.
    overflowed: AtomicU64,
    /// Ticks that found the queue full and were dropped.
    shed: AtomicU64,
    /// Ticks that found the queue full and were given back.
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Shard {
    symbols: HashMap<Arc<str>, Symbol>,
    queue: Vec<Tick>,
    filtered: u64,
    closed: bool,
}

#[derive(Debug)]
struct Symbol {
    name: Arc<str>,
    /// Who quoted it last.
    source: Arc<str>,
    latest: Option<Latest>,
    quote: Option<Quote>,
    ring: Ring,
}

type Quote = [Option<Decimal>; 3];

/// What became of a tick that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It waits; no other of its shard did.
    First,
    Queued,
    /// It is dropped: nothing in it has changed.
    Filtered,
    /// Nothing is taken any more.
    Closed,
}

impl Feed {
    pub(crate) fn new(options: &TickOptions) -> Self {
        Self {
            shards: Default::default(),
            numbers: Numbers::new(Timestamp::now(), rand::random()),
            ring_budget: Budget::new(options.ring_per_symbol, options.max_ring_ticks),
            drop_identical: options.drop_identical,
            max_symbols: options.max_ring_symbols,
            symbols: AtomicUsize::new(0),
            overflowed: AtomicU64::new(0),
            shed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// No other process has numbered later times.
    pub(crate) fn count_after(&self, time: Timestamp) {
        self.numbers.count_after(time);
    }

    fn shard(&self, symbol: &str) -> MutexGuard<'_, Shard> {
        let nth = hash_bytes(symbol.as_bytes()) as usize % SHARDS;
        lock(&self.shards[nth])
    }

    /// Numbers a tick, remembers it and queues it.
    pub(crate) fn offer(&self, mut tick: Tick) -> Offered {
        let mut shard = self.shard(&tick.symbol);
        if shard.closed {
            return Offered::Closed;
        }
        if !self.admit(&mut shard, &mut tick) {
            shard.filtered += 1;
            return Offered::Filtered;
        }
        let first = shard.queue.is_empty();
        shard.queue.push(tick);
        if first { Offered::First } else { Offered::Queued }
    }

    /// Numbers and remembers ticks that are queued elsewhere; takes out those in which nothing has changed.
    pub(crate) fn admit_all(&self, ticks: &mut Vec<Tick>) {
        ticks.retain_mut(|tick| self.admit(&mut self.shard(&tick.symbol), tick));
    }

    /// Numbers ticks, and remembers nothing else of them.
    pub(crate) fn number_all(&self, ticks: &mut [Tick]) {
        for tick in ticks {
            let mut shard = self.shard(&tick.symbol);
            match self.symbol(&mut shard, tick) {
                Some(symbol) => self.number(&mut symbol.latest, tick),
                None => self.number_unknown(tick),
            }
        }
    }

    /// Puts ticks into the rings of their symbols.
    pub(crate) fn remember_all(&self, ticks: &[Tick]) {
        for tick in ticks {
            if let Some(symbol) = self.symbol(&mut self.shard(&tick.symbol), tick) {
                symbol.ring.insert(tick, &self.ring_budget);
            }
        }
    }

    /// Says whether the tick is to be stored.
    fn admit(&self, shard: &mut Shard, tick: &mut Tick) -> bool {
        let Some(symbol) = self.symbol(shard, tick) else {
            self.number_unknown(tick);
            return true;
        };
        let same_source = symbol.intern(tick);
        if self.drop_identical {
            let quote = Some([tick.bid, tick.ask, tick.volume]);
            if same_source && symbol.quote == quote {
                return false;
            }
            symbol.quote = quote;
        }
        self.number(&mut symbol.latest, tick);
        symbol.ring.insert(tick, &self.ring_budget);
        true
    }

    /// What is remembered of the tick's symbol; nothing of one that cannot be stored.
    fn symbol<'a>(&self, shard: &'a mut Shard, tick: &Tick) -> Option<&'a mut Symbol> {
        if tick.defect().is_some() {
            return None;
        }
        if !shard.symbols.contains_key(&tick.symbol) {
            let more = |symbols: usize| (symbols < self.max_symbols).then_some(symbols + 1);
            if self.symbols.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
                self.overflowed.fetch_add(1, Ordering::Relaxed);
                return None;
            }
            let symbol = Symbol {
                name: tick.symbol.clone(),
                source: tick.source.clone(),
                latest: None,
                quote: None,
                ring: Ring::default(),
            };
            shard.symbols.insert(tick.symbol.clone(), symbol);
        }
        shard.symbols.get_mut(&tick.symbol)
    }

    fn number(&self, latest: &mut Option<Latest>, tick: &mut Tick) {
        if wants_number(tick) {
            tick.seq = self.numbers.assign(latest, tick.time);
        } else {
            Numbers::seen(latest, tick.time);
        }
    }

    fn number_unknown(&self, tick: &mut Tick) {
        if wants_number(tick) {
            tick.seq = self.numbers.unused();
        }
    }

    pub(crate) fn shed(&self) {
        self.shed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// From now on nothing is taken.
    pub(crate) fn close(&self) {
        for shard in &self.shards {
            lock(shard).closed = true;
        }
    }

    /// Puts what waits into `emptied`, which has a list for each shard, and the empty lists in its place; gives the number
    /// of ticks.
    pub(crate) fn swap(&self, emptied: &mut Emptied) -> usize {
        for (shard, emptied) in self.shards.iter().zip(&mut emptied.0) {
            std::mem::swap(&mut lock(shard).queue, emptied);
        }
        emptied.0.iter().map(Vec::len).sum()
    }

    pub(crate) fn recent(&self, symbol: &str, limit: usize) -> Vec<Tick> {
        self.shard(symbol).symbols.get(symbol).map(|symbol| symbol.ring.newest(limit)).unwrap_or_default()
    }

    /// Ticks that wait.
    pub(crate) fn queued(&self) -> u64 {
        self.shards.iter().map(|shard| lock(shard).queue.len() as u64).sum()
    }

    /// Adds what the ledger has not heard of.
    pub(crate) fn add_to(&self, stats: &mut Stats) {
        let family = stats.families.entry(tallybook_core::Family::Tick).or_default();
        for shard in &self.shards {
            let (queued, filtered) = {
                let shard = lock(shard);
                (shard.queue.len() as u64, shard.filtered)
            };
            family.offered += queued + filtered;
            family.queued += queued;
            family.duplicate += filtered;
            stats.filtered_ticks += filtered;
        }
        let shed = self.shed.load(Ordering::Relaxed);
        family.offered += shed;
        family.shed += shed;
        stats.refused_requests.full += self.refused.load(Ordering::Relaxed);
        stats.rings.symbols = self.symbols.load(Ordering::Relaxed);
        stats.rings.ticks = self.ring_budget.held();
        stats.rings.overflowed = self.overflowed.load(Ordering::Relaxed);
    }
}

impl Symbol {
    /// Lets the tick share the names that are here, so that each is in memory once; says whether the source is the one
    /// before.
    fn intern(&mut self, tick: &mut Tick) -> bool {
        if !Arc::ptr_eq(&self.name, &tick.symbol) {
            tick.symbol = self.name.clone();
        }
        let same_source = self.source == tick.source;
        if !same_source {
            self.source = tick.source.clone();
        } else if !Arc::ptr_eq(&self.source, &tick.source) {
            tick.source = self.source.clone();
        }
        same_source
    }
}

/// Lists that take what waits, one for each shard; they keep their room, so that a steady feed allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Emptied([Vec<Tick>; SHARDS]);

impl Emptied {
    /// Gives all ticks and stays empty.
    pub(crate) fn take(&mut self, count: usize) -> Vec<Tick> {
        let mut ticks = Vec::with_capacity(count);
        for list in &mut self.0 {
            let needed = 8 * list.len();
            ticks.append(list);
            list.shrink_to(needed.max(KEPT_ROOM));
        }
        ticks
    }
}

fn wants_number(tick: &Tick) -> bool {
    tick.seq == 0 && tick.flags.contains(TickFlags::SEQ_ASSIGNED)
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
