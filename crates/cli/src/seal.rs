//! `tallybook seal` and `tallybook unseal`: days of ticks into their compressed form, and back.

use std::time::Duration;

use anyhow::{Result, bail};
use bytesize::ByteSize;
use clap::{Args, Parser};
use tallybook_core::{Segment, Timestamp};

use crate::settings::Settings;
use crate::with_store::{day_of, with_store};

/// Which days are sealed.
#[derive(Parser)]
pub(crate) struct SealOptions {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    days: Days,
    /// Say what would be sealed, and seal nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args)]
struct Days {
    /// Days that ended at least this long ago
    #[arg(long, default_value = "7d", value_parser = humantime::parse_duration, value_name = "AGE")]
    older_than: Duration,
    /// This UTC day alone, such as 2026-11-01
    #[arg(long, value_parser = parse_day, conflicts_with = "older_than")]
    day: Option<Timestamp>,
}

/// Which day is turned back.
#[derive(Parser)]
pub(crate) struct UnsealOptions {
    #[command(flatten)]
    settings: Settings,
    /// The UTC day, such as 2026-11-01
    #[arg(value_parser = parse_day)]
    day: Timestamp,
}

/// Seals days one after the other, and says what each came to.
pub(crate) fn seal(options: &SealOptions) -> Result<()> {
    with_store(&options.settings, "tallybook seal", async |store| {
        let info = store.info();
        if !info.seals {
            bail!("the {} store keeps its days of ticks as they are; only that of SQLite seals them", info.name);
        }
        let days: Vec<Segment> =
            store.segments().await?.into_iter().filter(|segment| options.days.hold(segment)).collect();
        if days.is_empty() {
            println!("no day is to be sealed");
        }
        let (of, mut failed) = (days.len(), 0);
        for segment in days {
            let (day, before) = (day_of(segment.day), ByteSize(segment.bytes));
            if options.dry_run {
                println!("{day}: {} ticks in {before} would be sealed", segment.count);
                continue;
            }
            match store.seal(segment.day).await {
                Ok(sealed) => {
                    println!("{day}: {} ticks, {before} before, {} sealed", sealed.count, ByteSize(sealed.bytes));
                }
                Err(error) => {
                    eprintln!("{day}: {error}");
                    failed += 1;
                }
            }
        }
        if failed > 0 {
            bail!("{failed} of {of} days could not be sealed; they stay as they are");
        }
        Ok(())
    })
}

/// Turns a sealed day back.
pub(crate) fn unseal(options: &UnsealOptions) -> Result<()> {
    with_store(&options.settings, "tallybook unseal", async |store| {
        let segment = store.unseal(options.day).await?;
        println!(
            "{}: {} ticks in {}, not sealed any more",
            day_of(segment.day),
            segment.count,
            ByteSize(segment.bytes)
        );
        Ok(())
    })
}

impl Days {
    fn hold(&self, segment: &Segment) -> bool {
        if let Some(day) = self.day {
            return segment.day == day;
        }
        let age = i64::try_from(self.older_than.as_nanos()).unwrap_or(i64::MAX);
        let ended = Timestamp(segment.day.0.saturating_add(tallybook_core::DAY));
        segment.is_open() && ended <= Timestamp::now().earlier(age)
    }
}

fn parse_day(text: &str) -> Result<Timestamp> {
    let Some(day) = Timestamp::parse(&format!("{text}T00:00:00Z")) else {
        bail!("`{text}` is not a day such as 2026-11-01");
    };
    Ok(day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_read_and_shown_alike() {
        assert_eq!(day_of(parse_day("2026-11-01").unwrap()), "2026-11-01");
        for text in ["", "2026-13-01", "yesterday", "2026-11-01T00:00:00Z"] {
            assert!(parse_day(text).is_err(), "{text}");
        }
    }

    #[test]
    fn days_that_are_young_or_sealed_without_late_ticks_stay_as_they_are() {
        let days = Days { older_than: Duration::from_secs(7 * 86_400), day: None };
        let old = Timestamp::now().day().earlier(9 * tallybook_core::DAY);
        let segment = Segment { day: old, count: 1, bytes: 1, sealed: false, late: 0, error: None };
        assert!(days.hold(&segment));
        assert!(!days.hold(&Segment { sealed: true, ..segment.clone() }));
        assert!(days.hold(&Segment { sealed: true, late: 1, ..segment.clone() }));
        assert!(!days.hold(&Segment { day: Timestamp::now().day(), ..segment }));
    }
}
