//! Pings through their lane, with faults.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tallybook_core::{Counts, Family, Ping, Query, StoreExt};
use tallybook_writer::{Refused, Writer, WriterOptions};
use tokio::time::sleep;

use crate::support::{Unruly, account_of, ping, start, tick};

#[tokio::test(start_paused = true)]
async fn pings_are_stored_with_their_jitter_and_bad_ones_put_aside() {
    let store = Unruly::new();
    let writer = start(&store, &WriterOptions::default());
    let pings = vec![ping("a", 1, Some(1_000)), ping("a", 2, Some(17_000)), ping("a", 3, None), ping("", 4, Some(1))];
    let accepted = writer.pings(pings).await.unwrap();
    assert_eq!((accepted.counts.stored, accepted.rejected), (3, 1));
    let stored = store.list_all::<Ping>(Query::new(100)).await.unwrap();
    assert_eq!(stored.iter().map(|ping| ping.jitter).collect::<Vec<_>>(), [None, Some(1_000), None]);
    let letters = store.dead_letters().await;
    assert_eq!((&*letters[0].target, &*letters[0].error), ("ping", "the target is empty"));
    let correction = writer.pings(vec![ping("a", 1, Some(2_000))]).await.unwrap();
    assert_eq!(correction.counts, Counts { merged: 1, ..Counts::default() });
}

#[tokio::test(start_paused = true)]
async fn pings_that_come_again_are_the_same_also_after_a_restart() {
    let store = Unruly::new();
    let send = async |writer: &Writer, numbers: std::ops::RangeInclusive<u32>| {
        let pings = numbers.map(|at| ping("a", at.into(), Some(1_000 * u64::from(at).pow(2))));
        writer.pings(pings.collect()).await.unwrap().counts
    };
    let stored = |stored| Counts { stored, ..Counts::default() };
    let duplicate = |duplicate| Counts { duplicate, ..Counts::default() };
    let writer = start(&store, &WriterOptions::default());
    assert_eq!(send(&writer, 1..=5).await, stored(5));
    assert_eq!(send(&writer, 3..=5).await, duplicate(3));
    assert!(writer.stop(Duration::from_secs(10)).await.drained);

    let writer = start(&store, &WriterOptions::default());
    assert_eq!(send(&writer, 3..=5).await, duplicate(3));
    assert_eq!(send(&writer, 6..=9).await, stored(4));
    assert_eq!(send(&writer, 7..=9).await, duplicate(3));
    let stored = store.list_all::<Ping>(Query::new(100)).await.unwrap();
    let without: Vec<_> = (1..).zip(&stored).filter(|(_, ping)| ping.jitter.is_none()).map(|(at, _)| at).collect();
    assert_eq!(without, [1, 6], "the first of each process");
}

/// Pings, ticks and bad ones of both from many callers, while half of the commits fail in some way.
#[tokio::test(start_paused = true)]
async fn every_ping_and_tick_is_accounted_for_and_stored_once_while_the_store_fails_in_every_way() {
    for seed in 0..3 {
        println!("seed {seed}");
        let store = Unruly::new();
        store.chaos.delay(Duration::from_millis(3));
        store.chaos.fail_at_random(seed);
        store.refuse_ticks("REFUSED");
        let writer = start(&store, &WriterOptions::default());
        let callers: Vec<_> = (0..10)
            .map(|caller| {
                let writer = writer.clone();
                tokio::spawn(async move {
                    let mut random = StdRng::seed_from_u64(seed * 1000 + caller);
                    for round in 0..30 {
                        let millis = i64::from(round);
                        let symbol = ["A", "B", "", "REFUSED"][random.random_range(0..4)];
                        let target = if random.random_ratio(1, 5) { String::new() } else { format!("host {caller}") };
                        loop {
                            let answer = match caller % 2 {
                                0 => writer.ticks(vec![tick(symbol, millis, caller), tick("C", millis, caller)]).await,
                                _ => writer.pings(vec![ping(&target, millis, None), ping("d", millis, None)]).await,
                            };
                            for family in [Family::Ping, Family::Tick] {
                                account_of(family, &writer.stats());
                            }
                            match answer {
                                Ok(accepted) => break assert_eq!(accepted.records(), 2),
                                Err(Refused::Full { retry_after } | Refused::Unavailable { retry_after, .. }) => {
                                    sleep(retry_after).await;
                                }
                                Err(refused) => panic!("{refused}"),
                            }
                        }
                        sleep(Duration::from_millis(random.random_range(0..20))).await;
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        assert!(writer.stop(Duration::from_secs(600)).await.drained);
        let (ticks, pings) = (account_of(Family::Tick, &writer.stats()), account_of(Family::Ping, &writer.stats()));
        assert_eq!((ticks.offered, ticks.queued, ticks.duplicate), (300, 0, 0));
        assert_eq!((pings.offered, pings.queued, pings.merged), (300, 0, 0));
        let mut stored = 0;
        for symbol in ["A", "B", "C"] {
            stored += store.ticks_of(symbol).await.len() as u64;
        }
        assert_eq!(stored, ticks.stored);
        assert_eq!(store.list_all::<Ping>(Query::new(1000)).await.unwrap().len() as u64, pings.stored);
        assert_eq!(store.dead_letters().await.len() as u64, ticks.rejected + pings.rejected);
        assert!(writer.stats().retries > 0);
    }
}
