//! Pings, as [`PingPlan`] says.

use tallybook_core::{Counts, Ping, PingBucket, PingPlan, Record, Result, Value};

use crate::state::{State, Touched};

const STORING: &str = "storing pings";

impl State {
    /// Stores pings, sums them up, and says what became of them.
    pub(crate) fn add_pings(&mut self, pings: &[Ping], touched: &mut Touched) -> Result<Counts> {
        let (at, buckets_at) = (Ping::TABLE.place(STORING)?, PingBucket::TABLE.place(STORING)?);
        let stored = pings.iter().filter_map(|ping| self.get(at, &key(&ping.target, ping.time.0)));
        let stored = stored.cloned().map(Ping::from_row).collect::<Result<Vec<_>>>()?;
        let plan = PingPlan::new(pings, stored);
        for ping in &plan.pings {
            self.fold(at, ping.to_row(), touched);
        }
        for bucket in &plan.buckets {
            self.fold(buckets_at, bucket.to_row(), touched);
        }
        for bucket in &plan.rebuild {
            let (start, length) = (bucket.start.0, bucket.resolution.nanoseconds());
            let (from, to) = (key(&bucket.target, start), key(&bucket.target, start.saturating_add(length)));
            let pings = self.between(at, &from, &to).cloned().map(Ping::from_row).collect::<Result<Vec<_>>>()?;
            let stored = [bucket.resolution.as_str().into(), bucket.start.into(), bucket.target.as_ref().into()];
            let Some(stored) = self.get(buckets_at, &stored).cloned() else { continue };
            if let Some(row) = PingPlan::rebuilt(bucket, &pings, &PingBucket::from_row(stored)?) {
                self.overwrite(buckets_at, row, touched);
            }
        }
        Ok(plan.counts)
    }
}

fn key(target: &str, time: i64) -> [Value; 2] {
    [target.into(), time.into()]
}
