//! What servers that share a store agree on: whom they tell of what, and which of them probes.

use std::sync::Arc;

use crate::table::record;
use crate::{Timestamp, hash_bytes};

record! {
    /// What operators want to be told of. All rules are replaced together, so they lie in one row.
    AlertRules in "alert_rules" by Replace {
        /// [`AlertRules::ID`].
        id: Arc<str> => Key,
        /// The rules and the webhook as JSON, in the form of the API.
        document: Arc<str> => Last,
        /// When they were changed last.
        updated: Timestamp => Last,
    }
}

record! {
    /// A server that probes, among those that share a store.
    Prober in "prober" by Replace pruned by "seen" {
        /// A UUID of version 7.
        id: Arc<str> => Key,
        /// When it last said so.
        seen: Timestamp => Last,
    }
}

impl AlertRules {
    /// The id of the only row.
    pub const ID: &str = "all";
}

impl Prober {
    /// A server that has not said so for this long, in nanoseconds, does not probe any more.
    pub const GONE_AFTER: i64 = 30_000_000_000;

    /// Which of the probers has the target of that id: all servers that know the same probers agree, and one that comes or
    /// goes moves only its own share. `None` without probers.
    pub fn of<'p>(target_id: &str, probers: impl IntoIterator<Item = &'p str>) -> Option<&'p str> {
        let claim = |prober: &str| hash_bytes(format!("{prober} {target_id}").as_bytes());
        probers.into_iter().max_by_key(|prober| (claim(prober), *prober))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_goes_leaves_its_targets_to_the_others_and_theirs_where_they_are() {
        let targets: Vec<String> = (0..300).map(|number| format!("target-{number}")).collect();
        let before = |target: &str| Prober::of(target, ["a", "b", "c"]).unwrap();
        for prober in ["a", "b", "c"] {
            let share = targets.iter().filter(|target| before(target) == prober).count();
            assert!((60..140).contains(&share), "{prober} has {share} of 300");
        }
        for target in targets.iter().filter(|target| before(target) != "b") {
            assert_eq!(Prober::of(target, ["c", "a"]), Some(before(target)), "whatever their order");
        }
        assert_eq!(Prober::of("target", []), None);
    }
}
