//! Ticks in the order in which commits added them, for `changes`.
//!
//! Days are opened when their turn comes: one has nothing in front of the commit that began it. Where one cannot be used, that is
//! the answer: whoever went on behind it would never learn of its ticks.

use std::collections::BTreeSet;
use std::sync::Arc;

use tallybook_core::{Result, Tick, TickKey, TickQuery, TimeRange, Timestamp};

use super::day::Day;
use super::days::Days;
use super::reader::Touched;
use super::view::DayView;

/// How many ticks lie in ranges that were touched behind `revision`.
pub(crate) fn ticks_behind(days: &Days, revision: i64) -> Result<u64> {
    let mut count = 0;
    for day in days.all() {
        let of_day = |view: &DayView<'_>| match days.revisions(day) {
            Some(known) if known.first > revision => view.count(),
            _ => view.count_touched(revision + 1),
        };
        if days.revisions(day).is_none_or(|known| known.last > revision) {
            // Of a day that cannot be used nobody knows how many there are.
            count += days.with_if_usable(day, of_day)?.unwrap_or(None).unwrap_or(0);
        }
    }
    Ok(count)
}

/// A tick's place in the order of changes. As text: `rev.ticks.day.time.seq.symbol`, the symbol last for it may hold points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TickPlace {
    pub(crate) revision: i64,
    day: Day,
    symbol: Arc<str>,
    key: TickKey,
}

impl TickPlace {
    /// Stands in the text where rows have the name of their table.
    pub(crate) const NAME: &str = "ticks";

    /// Reads what follows the revision and the name.
    pub(crate) fn parse(revision: i64, text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '.');
        let day = Day::parse(parts.next()?)?;
        let time = Timestamp(parts.next()?.parse().ok()?);
        let seq = parts.next()?.parse().ok()?;
        Some(Self { revision, day, symbol: parts.next()?.into(), key: TickKey { time, seq } })
    }

    pub(crate) fn text(&self) -> String {
        let Self { revision, day, symbol, key } = self;
        format!("{revision}.{}.{day}.{}.{}.{symbol}", Self::NAME, key.time.0, key.seq)
    }

    /// Where `touched` lies: behind this place (with all it has), at it (with what follows the key), or before.
    fn cmp(&self, touched: &Touched) -> std::cmp::Ordering {
        let at = (touched.revision, touched.day, &touched.symbol);
        at.cmp(&(self.revision, self.day, &self.symbol))
    }
}

/// Ranges of ticks in the order of `(revision, day, symbol)`.
pub(crate) struct TickStream<'d> {
    days: &'d Days,
    /// The commits that are looked at, both ends included.
    from: i64,
    to: i64,
    after: Option<TickPlace>,
    /// Days that were not opened yet, by the first commit that may have ticks there; the least one last.
    waiting: Vec<(i64, Day)>,
    touched: BTreeSet<Touched>,
}

impl<'d> TickStream<'d> {
    /// What was added behind `after`, or else from the commit `from` on; up to the commit `to`.
    pub(crate) fn new(days: &'d Days, from: i64, to: i64, after: Option<TickPlace>) -> Self {
        let revisions = days.all().into_iter().filter_map(|day| Some((days.revisions(day)?, day)));
        // A commit adds to its days in their order.
        let passed =
            |last: i64, day: Day| after.as_ref().is_some_and(|after| (last, day) < (after.revision, after.day));
        let mut waiting: Vec<(i64, Day)> = revisions
            .filter(|(revisions, day)| revisions.last >= from && !passed(revisions.last, *day))
            .map(|(revisions, day)| (revisions.first, day))
            .collect();
        waiting.sort_unstable_by(|one, other| other.cmp(one));
        Self { days, from, to, after, waiting, touched: BTreeSet::new() }
    }

    /// The commit that added what comes next.
    pub(crate) fn head(&mut self) -> Result<Option<i64>> {
        loop {
            let next = self.touched.first().map(|touched| touched.revision);
            let Some((first, day)) = self.waiting.last().copied() else { return Ok(next) };
            if next.is_some_and(|next| next < first) {
                return Ok(next);
            }
            self.waiting.pop();
            let found = self.days.with(day, |view| view.touched(self.from))?.unwrap_or_default();
            let behind = |touched: &Touched| self.after.as_ref().is_none_or(|after| after.cmp(touched).is_ge());
            self.touched.extend(found.into_iter().filter(|touched| touched.revision <= self.to && behind(touched)));
        }
    }

    /// Adds ticks of the range at the head, `limit` at the most, and gives the place of the last one.
    pub(crate) fn take(&mut self, limit: usize, ticks: &mut Vec<Tick>) -> Result<Option<TickPlace>> {
        let Some(touched) = self.touched.pop_first() else { return Ok(None) };
        let query = TickQuery {
            symbol: touched.symbol.clone(),
            range: TimeRange { from: touched.first, to: Timestamp(touched.last.0.saturating_add(1)) },
            after: self.after.as_ref().filter(|after| after.cmp(&touched).is_eq()).map(|after| after.key),
            newest_first: false,
            limit,
        };
        let mut found = self.days.with(touched.day, |view| view.ticks(&query))?.unwrap_or_default();
        let Touched { revision, day, symbol, .. } = touched.clone();
        let last = found.last().map(|tick| TickPlace { revision, day, symbol, key: tick.key() });
        if found.len() >= limit {
            // There may be more of it.
            self.touched.insert(touched);
        }
        ticks.append(&mut found);
        Ok(last)
    }
}
