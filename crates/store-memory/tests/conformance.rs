//! The memory store against the suite, as a store and as a follower.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use tallybook_conformance::{FollowerPlace, Place, follower_cases, following_store_cases};
use tallybook_core::{Result, Store};
use tallybook_store_memory::MemoryStore;

#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl Place for Nowhere {
    async fn open(&self) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(MemoryStore::new()))
    }
}

#[async_trait]
impl FollowerPlace for Nowhere {
    type Opened = MemoryStore;

    async fn open(&self) -> Result<Arc<MemoryStore>> {
        Ok(Arc::new(MemoryStore::new()))
    }
}

fn main() -> ExitCode {
    let mut own_cases = follower_cases("memory", || Nowhere, false);
    own_cases.extend(following_store_cases("memory", || Nowhere));
    tallybook_conformance::run("memory", || Nowhere, own_cases)
}
