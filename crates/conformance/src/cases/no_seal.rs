//! What a store does that cannot seal days of ticks.

use std::sync::Arc;

use tallybook_core::{DAY, ErrorKind, Store, Timestamp};

use super::store_cases;
use super::ticks::{commit_ticks, tick};
use crate::support::{assert_same, contents};

store_cases! {
    t03_a_store_that_cannot_seal_says_so,
}

async fn t03_a_store_that_cannot_seal_says_so(store: &Arc<dyn Store>) {
    commit_ticks(store, &[tick(5, 0)]).await;
    let before = contents(&**store).await;
    for day in [0, 1] {
        let day = Timestamp(day * DAY);
        for answer in [store.seal(day).await, store.unseal(day).await] {
            assert_eq!(answer.map_err(|error| error.kind()), Err(ErrorKind::Unsupported));
        }
    }
    assert_same(&contents(&**store).await, &before);
    let segments = store.segments().await.expect("the store lists days");
    assert!(segments.iter().all(|segment| !segment.sealed));
}
