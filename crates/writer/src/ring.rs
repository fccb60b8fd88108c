//! The latest ticks of one symbol, in memory.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use tallybook_core::Tick;

/// The least room a ring grows by.
const MIN_GROWTH: usize = 16;

/// How many ticks the rings may hold.
#[derive(Debug)]
pub(crate) struct Budget {
    per_symbol: usize,
    total: usize,
    held: AtomicUsize,
}

/// Ticks by rising key; where there is no room for another, the first goes.
#[derive(Debug, Default)]
pub(crate) struct Ring(VecDeque<Tick>);

impl Budget {
    pub(crate) fn new(per_symbol: usize, total: usize) -> Self {
        Self { per_symbol, total, held: AtomicUsize::new(0) }
    }

    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Takes room for one more tick.
    fn take(&self) -> bool {
        let more = |held: usize| (held < self.total).then_some(held + 1);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

impl Ring {
    /// Puts a tick in its place, unless all that are there are later and there is no room.
    pub(crate) fn insert(&mut self, tick: &Tick, budget: &Budget) {
        let key = tick.key();
        let in_order = self.0.back().is_none_or(|last| last.key() < key);
        let place = if in_order { self.0.len() } else { self.0.partition_point(|other| other.key() < key) };
        if self.0.get(place).is_some_and(|other| other.key() == key) {
            return;
        }
        let grows = self.0.len() < budget.per_symbol && budget.take();
        if grows {
            self.reserve(budget.per_symbol);
            self.0.insert(place, tick.clone());
        } else if place > 0 {
            self.0.pop_front();
            self.0.insert(place - 1, tick.clone());
        }
    }

    /// Doubles the room when it is used up, but not past the limit.
    fn reserve(&mut self, limit: usize) {
        let len = self.0.len();
        if len == self.0.capacity() {
            self.0.reserve_exact(len.max(MIN_GROWTH).min(limit - len));
        }
    }

    pub(crate) fn newest(&self, limit: usize) -> Vec<Tick> {
        self.0.iter().rev().take(limit).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use tallybook_core::Timestamp;

    use super::*;

    fn tick(time: i64) -> Tick {
        Tick::new("x", Timestamp(time), None, None)
    }

    fn times(ring: &Ring) -> Vec<i64> {
        ring.newest(usize::MAX).iter().map(|tick| tick.time.0).collect()
    }

    #[test]
    fn a_full_ring_forgets_the_oldest_and_takes_late_ticks_in_their_place() {
        let (mut ring, budget) = (Ring::default(), Budget::new(4, 100));
        for time in [10, 30, 20, 30, 40, 5, 35, 50] {
            ring.insert(&tick(time), &budget);
        }
        assert_eq!(times(&ring), [50, 40, 35, 30]);
        assert_eq!(budget.held(), 4);
        assert_eq!(ring.newest(1)[0].time, Timestamp(50));
    }

    #[test]
    fn past_the_limit_of_all_rings_a_ring_keeps_its_length() {
        let budget = Budget::new(10, 3);
        let mut rings = [Ring::default(), Ring::default()];
        for time in 0..5 {
            for ring in &mut rings {
                ring.insert(&tick(time), &budget);
            }
        }
        assert_eq!((times(&rings[0]), times(&rings[1])), (vec![4, 3], vec![4]));
    }
}
