//! What the model test may do next.

use proptest::prelude::*;
use tallybook_core::{Condition, DAY, HOUR, TABLES, Table, Timestamp};

use crate::Fixtures;

/// One step. Records and queries are seeds, so that shrinking takes away whole ones.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Commit {
        /// Kinds of record and their seeds.
        records: Vec<(usize, u64)>,
        moves: Vec<u64>,
        durable: bool,
    },
    /// The batch that many places before the last one.
    SendAgain {
        back: usize,
    },
    Prune {
        table: usize,
        before: i64,
        only_hours: bool,
        limit: usize,
    },
    Select {
        table: usize,
        seed: u64,
    },
    Ticks {
        seed: u64,
    },
    Follow {
        limit: usize,
    },
    /// Where the store can seal.
    Seal {
        day: Timestamp,
    },
    /// A day that is sealed.
    Unseal {
        day: Timestamp,
    },
    DropSegment {
        day: Timestamp,
    },
    /// Only where a store is persistent.
    Restart,
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let tables = 0..TABLES.len();
    let day = || prop::sample::select(vec![Timestamp(0), Timestamp(DAY), Timestamp(2 * DAY)]);
    let series = prop::sample::select(vec![Fixtures::PING, Fixtures::TICK]);
    prop_oneof![
        6 => (
            prop::collection::vec((0..Fixtures::KINDS, any::<u64>()), 0..40),
            prop::collection::vec(any::<u64>(), 0..6),
            prop::bool::weighted(0.1),
        )
            .prop_map(|(records, moves, durable)| Step::Commit { records, moves, durable }),
        2 => prop::collection::vec((series, any::<u64>()), 0..40)
            .prop_map(|records| Step::Commit { records, moves: Vec::new(), durable: false }),
        1 => (0..4_usize).prop_map(|back| Step::SendAgain { back }),
        1 => (tables.clone(), -3..4_i64, any::<bool>(), 1..20_usize).prop_map(|(table, hour, only_hours, limit)| {
            Step::Prune { table, before: hour * HOUR, only_hours, limit }
        }),
        4 => (tables, any::<u64>()).prop_map(|(table, seed)| Step::Select { table, seed }),
        4 => any::<u64>().prop_map(|seed| Step::Ticks { seed }),
        3 => (1..30_usize).prop_map(|limit| Step::Follow { limit }),
        1 => day().prop_map(|day| Step::Seal { day }),
        1 => day().prop_map(|day| Step::Unseal { day }),
        1 => day().prop_map(|day| Step::DropSegment { day }),
        1 => Just(Step::Restart),
    ]
}

/// Only the hours among the buckets of a table that has buckets of several lengths.
pub(crate) fn hours_of(table: &Table) -> Option<Condition> {
    let length = ["window", "resolution"].into_iter().find(|column| table.position(column).is_some())?;
    Some(Condition::Equals(length, "hour".into()))
}
