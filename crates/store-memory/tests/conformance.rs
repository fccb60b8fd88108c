//! The memory store against the suite.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use tallybook_conformance::Place;
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

fn main() -> ExitCode {
    tallybook_conformance::run("memory", || Nowhere, Vec::new())
}
