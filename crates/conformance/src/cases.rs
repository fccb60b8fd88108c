//! The list of cases. A name begins with the number of the promise that it holds: `p` of [`tallybook_core::Store`], `t` of
//! [`tallybook_core::TickStore`].

mod changes;
mod close;
mod commit;
mod merge;
mod moves;
mod newest;
mod no_seal;
mod parallel;
mod pings;
mod prune;
mod seal;
mod select;
mod ticks;

use futures_util::future::BoxFuture;
use tallybook_core::Info;

use crate::{NewPlace, model};

/// One case.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) run: fn(NewPlace) -> BoxFuture<'static, ()>,
}

/// Lists functions over an open store, which is closed when they are over.
macro_rules! store_cases {
    ($($name:ident,)*) => {
        pub(super) const CASES: &[$crate::cases::Case] = &[$($crate::cases::Case {
            name: stringify!($name),
            run: |new_place| Box::pin(async move {
                let place = new_place();
                let store = $crate::support::open(&*place).await;
                $name(&store).await;
                store.close().await.expect("the store closes");
            }),
        },)*];
    };
}
use store_cases;

/// Lists functions over the place of a persistent store; they give back what they opened last, which is then closed.
macro_rules! restart_cases {
    ($($name:ident,)*) => {
        pub(super) const RESTART_CASES: &[$crate::cases::Case] = &[$($crate::cases::Case {
            name: stringify!($name),
            run: |new_place| Box::pin(async move {
                let place = new_place();
                let store = $name(&*place).await;
                store.close().await.expect("the store closes");
            }),
        },)*];
    };
}
use restart_cases;

/// The cases that are meant for a store of this kind.
pub(crate) fn of(info: &Info) -> impl Iterator<Item = &'static Case> {
    let always = [
        commit::CASES,
        merge::CASES,
        pings::CASES,
        newest::CASES,
        moves::CASES,
        select::CASES,
        changes::CASES,
        prune::CASES,
        parallel::CASES,
        close::CASES,
        ticks::CASES,
        model::CASES,
    ];
    let sealing = if info.seals { seal::CASES } else { no_seal::CASES };
    let persistent = if info.persistent { close::RESTART_CASES } else { &[] };
    let both = if info.persistent && info.seals { seal::RESTART_CASES } else { &[] };
    always.into_iter().chain([sealing, persistent, both]).flatten()
}
