//! The configured targets, and the servers that share them.

use std::sync::Arc;

use tallybook_core::{Condition, PingTarget, Prober, Query, Records, Result, StoreExt, Timestamp, Value};
use uuid::Uuid;

use crate::stored::Stored;

/// Reads and changes the configured targets. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct PingTargets {
    stored: Stored,
    /// What names this server among those that share the store; `None` where none does.
    prober: Option<Arc<str>>,
}

impl PingTargets {
    pub(crate) fn new(stored: Stored) -> Self {
        let shared = stored.store().info().shared;
        Self { stored, prober: shared.then(|| Uuid::now_v7().hyphenated().to_string().into()) }
    }

    /// All of them, by id; the earliest made first.
    pub(crate) async fn list(&self) -> Result<Vec<PingTarget>> {
        let query = Query::new(PingTarget::MAX_TARGETS).filter(Condition::Equals("deleted", Value::Int(0)));
        self.stored.store().list_all(query).await
    }

    /// Those that this server is to probe: of servers that share a store, each has its share. Says to the others that this
    /// one probes.
    pub(crate) async fn claim(&self) -> Result<Vec<PingTarget>> {
        let targets = self.list().await?;
        // Nobody has to hear of a server that has nothing to probe.
        let Some(prober) = self.prober.as_ref().filter(|_| !targets.is_empty()) else { return Ok(targets) };
        self.say(prober, Timestamp::now()).await?;
        let probers: Vec<Prober> = self.stored.store().list_all(Query::new(1_000)).await?;
        // By the clocks of those who said so: then all servers come to the same.
        let newest = probers.iter().map(|prober| prober.seen).max().unwrap_or(Timestamp(0));
        let alive = |prober: &&Prober| prober.seen >= newest.earlier(Prober::GONE_AFTER);
        let alive: Vec<&str> = probers.iter().filter(alive).map(|prober| &*prober.id).collect();
        let ours = |target: &PingTarget| Prober::of(&target.id, alive.iter().copied()) == Some(prober);
        Ok(targets.into_iter().filter(ours).collect())
    }

    /// Says to the others that this server probes no more.
    pub(crate) async fn leave(&self) -> Result<()> {
        match &self.prober {
            Some(prober) => self.say(prober, Timestamp(0)).await,
            None => Ok(()),
        }
    }

    async fn say(&self, prober: &Arc<str>, seen: Timestamp) -> Result<()> {
        let row = Prober { id: prober.clone(), seen };
        self.stored.turn().await.commit(Records { probers: vec![row], ..Records::default() }).await
    }

    /// Changes what `change` makes of all targets.
    ///
    /// # Errors
    /// What `change` says, or the store.
    pub(crate) async fn change<E: From<tallybook_core::Error>>(
        &self,
        change: impl FnOnce(Vec<PingTarget>) -> Result<PingTarget, E> + Send,
    ) -> Result<PingTarget, E> {
        let turn = self.stored.turn().await;
        let changed = change(self.list().await?)?;
        turn.commit(Records { ping_targets: vec![changed.clone()], ..Records::default() }).await?;
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tallybook_core::{DAY, Error};
    use tallybook_store_memory::MemoryStore;

    use super::*;

    fn target(number: usize) -> PingTarget {
        PingTarget {
            id: format!("id-{number}").into(),
            target: format!("host-{number}").into(),
            interval: PingTarget::MIN_INTERVAL,
            timeout: PingTarget::MIN_TIMEOUT,
            enabled: true,
            deleted: false,
            updated: Timestamp(0),
        }
    }

    async fn claimed(server: &PingTargets) -> BTreeSet<Arc<str>> {
        server.claim().await.unwrap().into_iter().map(|target| target.id).collect()
    }

    #[tokio::test]
    async fn servers_that_share_a_store_probe_each_target_once_and_take_over_from_one_that_left() {
        let stored = Stored::new(Arc::new(MemoryStore::new()));
        let [one, other, dead] =
            ["one", "other", "dead"].map(|id| PingTargets { stored: stored.clone(), prober: Some(id.into()) });
        assert!(claimed(&one).await.is_empty());
        let probers: Vec<Prober> = stored.store().list_all(Query::new(10)).await.unwrap();
        assert_eq!(probers, [], "nothing is written for nothing");
        for number in 0..100 {
            one.change::<Error>(|_| Ok(target(number))).await.unwrap();
        }
        dead.say(&"dead".into(), Timestamp::now().earlier(DAY)).await.unwrap();
        assert_eq!(claimed(&one).await.len(), 100, "alone it has all of them");
        claimed(&other).await;
        let (first, second) = (claimed(&one).await, claimed(&other).await);
        assert!(first.is_disjoint(&second) && first.len() + second.len() == 100, "{first:?} {second:?}");
        assert!(!first.is_empty() && !second.is_empty());
        one.leave().await.unwrap();
        assert_eq!(claimed(&other).await.len(), 100);
    }
}
