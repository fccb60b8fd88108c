//! What is too old: the same for a round of the retention and for showing what it would do.

use std::time::Duration;

use tallybook_core::{
    Condition, DAY, Execution, ExecutionRecords, ExecutionStatus, Ping, PingBucket, Prober, Query, Record, Resolution,
    Result, Segment, Store, StoreExt, TABLES, Table, Timestamp, Value, Window,
};
use tokio::time::sleep;

use crate::RetentionOptions;

/// Old executions that are looked up in one call.
const EXECUTIONS_PER_LIST: usize = 50;

/// How long a server that probed is remembered.
const PROBERS_KEPT: Duration = Duration::from_secs(86_400);

/// What a round of the retention removes and seals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RetentionPlan {
    /// Rows that are removed.
    pub rows: Vec<OldRows>,
    /// Days of ticks that are removed.
    pub drop: Vec<Segment>,
    /// Days of ticks that are sealed; also those that are, and to which ticks came later.
    pub seal: Vec<Segment>,
}

/// Rows of one table that are too old.
#[derive(Clone, Debug, PartialEq)]
pub struct OldRows {
    /// The table.
    pub table: &'static Table,
    /// Rows whose retention column lies before this moment,
    pub before: Timestamp,
    /// and that fit all of these.
    pub conditions: Vec<Condition>,
}

impl RetentionPlan {
    /// What is too old at `now` in a store.
    ///
    /// # Errors
    /// The store cannot list its days of ticks.
    pub async fn of(store: &dyn Store, options: &RetentionOptions, now: Timestamp) -> Result<Self> {
        let mut plan = Self::new(options, &store.segments().await?, now);
        if !store.info().seals {
            plan.seal.clear();
        }
        Ok(plan)
    }

    /// What is too old at `now` in a store that has these `segments`, and can seal them. Those that cannot be used are
    /// left alone.
    pub fn new(options: &RetentionOptions, segments: &[Segment], now: Timestamp) -> Self {
        let ended_before = |age: Option<Duration>| age.map(|age| earlier(now, age));
        let (drop_before, seal_before) = (ended_before(options.ticks), ended_before(options.seal_after));
        let mut plan = Self { rows: old_rows(options, now), ..Self::default() };
        for segment in segments.iter().filter(|segment| segment.error.is_none()) {
            let end = Timestamp(segment.day.0.saturating_add(DAY));
            if drop_before.is_some_and(|before| end <= before) {
                plan.drop.push(segment.clone());
            } else if segment.is_open() && seal_before.is_some_and(|before| end <= before) {
                plan.seal.push(segment.clone());
            }
        }
        plan
    }
}

impl OldRows {
    /// Of a table of sums, the length of those that are meant.
    pub fn of(&self) -> Option<&str> {
        self.conditions.iter().find_map(|condition| match condition {
            Condition::Equals(_, Value::Text(value)) => Some(value.as_ref()),
            _ => None,
        })
    }

    /// How many there are.
    ///
    /// # Errors
    /// What the store says when it cannot be read.
    pub async fn count(&self, store: &dyn Store) -> Result<u64> {
        let Some(query) = self.query(1) else { return Ok(0) };
        Ok(store.select(self.table, &Query { total: true, ..query }).await?.total.unwrap_or_default())
    }

    /// The first of them; `None` where the table keeps its rows for ever.
    pub fn query(&self, limit: usize) -> Option<Query> {
        let column = self.table.retention?;
        let older = Condition::AtMost(column, Value::Int(self.before.earlier(1).0));
        let conditions: Vec<Condition> = self.conditions.iter().cloned().chain([older]).collect();
        // In the order of the index that finds them.
        let expires = conditions.iter().map(Condition::column).find(|column| *column == "expires_at");
        Some(Query { conditions, ..Query::new(limit).sort(expires.unwrap_or(column), false) })
    }

    /// Removes them in small steps, and tells `each` how many rows a step removed.
    ///
    /// # Errors
    /// What the store says; what was removed before stays removed.
    pub async fn remove(
        &self,
        store: &dyn Store,
        options: &RetentionOptions,
        mut each: impl FnMut(u64) + Send,
    ) -> Result<()> {
        if self.table.name == Execution::TABLE.name {
            return self.remove_executions(store, options, each).await;
        }
        loop {
            let removed = store.prune(self.table, self.before, &self.conditions, options.chunk_rows).await?;
            each(removed);
            if removed < options.chunk_rows as u64 {
                return Ok(());
            }
            sleep(options.pause).await;
        }
    }

    /// One by one, each with all that belongs to it.
    async fn remove_executions(
        &self,
        store: &dyn Store,
        options: &RetentionOptions,
        mut each: impl FnMut(u64) + Send,
    ) -> Result<()> {
        let Some(query) = self.query(EXECUTIONS_PER_LIST) else { return Ok(()) };
        loop {
            let old = store.list::<Execution>(&query).await?.items;
            for execution in &old {
                each(store.remove_execution(&execution.id, options.chunk_rows).await?);
            }
            if old.len() < EXECUTIONS_PER_LIST {
                return Ok(());
            }
            sleep(options.pause).await;
        }
    }
}

/// In tables of buckets each length has its own age, in the others all rows have one.
fn old_rows(options: &RetentionOptions, now: Timestamp) -> Vec<OldRows> {
    let mut old = Vec::new();
    let mut add = |table, age, column: Option<(&'static str, &'static str)>| {
        let conditions = column.into_iter().map(|(column, value)| Condition::Equals(column, value.into())).collect();
        old.push(OldRows { table, before: earlier(now, age), conditions });
    };
    for table in TABLES.iter().copied().filter(|table| table.retention.is_some()) {
        if ExecutionRecords::owns(table) {
            continue;
        }
        if table.name == Ping::TABLE.name {
            add(table, options.pings, None);
        } else if table.name == PingBucket::TABLE.name {
            add(table, options.ping_minutes, Some(("resolution", Resolution::Minute.as_str())));
            add(table, options.ping_hours, Some(("resolution", Resolution::Hour.as_str())));
        } else if table.name == Prober::TABLE.name {
            add(table, PROBERS_KEPT, None);
        } else if table.position("window").is_some() {
            add(table, options.hour_buckets, Some(("window", Window::Hour.as_str())));
            add(table, options.day_buckets, Some(("window", Window::Day.as_str())));
        } else {
            add(table, options.dead_letters, None);
        }
    }
    // What belongs to an execution goes with it. One that runs stays, however old it is.
    let ended = || {
        let ended = ExecutionStatus::ALL.iter().filter(|status| status.is_final());
        Condition::In("status", ended.map(|status| status.as_str().into()).collect())
    };
    let table = Execution::TABLE;
    old.push(OldRows { table, before: earlier(now, options.executions), conditions: vec![ended()] });
    let expired = vec![ended(), Condition::AtMost("expires_at", now.into())];
    old.push(OldRows { table, before: Timestamp(i64::MAX), conditions: expired });
    // A day that has lost some of its pings could not be summed up again.
    for pings in old.iter_mut().filter(|old| old.table.name == Ping::TABLE.name) {
        pings.before = pings.before.day();
    }
    old
}

fn earlier(now: Timestamp, age: Duration) -> Timestamp {
    now.earlier(i64::try_from(age.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(20_000 * DAY + DAY / 2);

    fn segment(age_days: i64, sealed: bool) -> Segment {
        Segment { day: NOW.day().earlier(age_days * DAY), count: 1, bytes: 0, sealed, late: 0, error: None }
    }

    #[test]
    fn days_of_ticks_are_sealed_and_dropped_when_their_end_is_old_enough() {
        let segments = [segment(0, false), segment(7, false), segment(8, false), segment(9, true), segment(31, false)];
        let kept = RetentionPlan::new(&RetentionOptions::default(), &segments, NOW);
        assert_eq!((kept.drop, kept.seal), (vec![], vec![segment(8, false), segment(31, false)]));

        let thirty_days = RetentionOptions { ticks: Some(Duration::from_secs(30 * 86_400)), ..Default::default() };
        let dropped = RetentionPlan::new(&thirty_days, &segments, NOW);
        assert_eq!((dropped.drop, dropped.seal), (vec![segment(31, false)], vec![segment(8, false)]));

        let (same, grown) = (segment(20, true), Segment { late: 1, ..segment(21, true) });
        let again = RetentionPlan::new(&RetentionOptions::default(), &[same, grown.clone()], NOW);
        assert_eq!(again.seal, [grown]);

        let unusable = Segment { error: Some("it is damaged".to_owned()), ..segment(31, false) };
        assert_eq!(RetentionPlan::new(&thirty_days, &[unusable], NOW), RetentionPlan::new(&thirty_days, &[], NOW));

        let neither = RetentionOptions { seal_after: None, ..Default::default() };
        assert!(RetentionPlan::new(&neither, &segments, NOW).seal.is_empty());
    }

    #[test]
    fn pings_go_by_whole_days_and_their_sums_by_resolution_and_never_those_of_days() {
        let plan = RetentionPlan::new(&RetentionOptions::default(), &[], NOW);
        let of = |table: &str| plan.rows.iter().filter(|old| old.table.name == table).cloned().collect::<Vec<_>>();
        assert_eq!(of("ping")[0].before, NOW.day().earlier(30 * DAY));
        let buckets = of("ping_bucket");
        assert_eq!(buckets.len(), 2);
        assert_eq!(buckets[0].before, NOW.earlier(90 * DAY));
        assert_eq!(buckets[0].conditions, [Condition::Equals("resolution", "minute".into())]);
        assert_eq!(buckets[1].conditions, [Condition::Equals("resolution", "hour".into())]);
    }
}
