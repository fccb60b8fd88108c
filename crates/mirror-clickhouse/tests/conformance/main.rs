//! The ClickHouse mirror against the suite of followers: over the oldest server that can be installed, and over a current
//! engine behind a small bridge.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use engines::Engine;
use tallybook_conformance::{FollowerPlace, case, follower_cases, run_trials};
use tallybook_core::Result;
use tallybook_mirror_clickhouse::{Address, ClickHouseMirror};

mod cases;
mod engines;

/// A database of its own in an engine.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) url: String,
}

impl Database {
    pub(crate) fn new(engine: &Engine) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        Self { url: format!("clickhouse://{}/{name}{}", engine.address, engine.options) }
    }

    pub(crate) async fn mirror(&self) -> Result<ClickHouseMirror> {
        ClickHouseMirror::open(&Address::parse(&self.url)?).await
    }
}

#[async_trait]
impl FollowerPlace for Database {
    type Opened = ClickHouseMirror;

    async fn open(&self) -> Result<Arc<ClickHouseMirror>> {
        Ok(Arc::new(self.mirror().await?))
    }
}

fn main() -> ExitCode {
    let started = engines::start();
    let engines = match started {
        Ok(engines) => engines,
        Err(error) => {
            eprintln!("the ClickHouse mirror cannot be tested: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut trials = Vec::new();
    for engine in &engines {
        let of_engine = engine.clone();
        trials.extend(follower_cases(engine.name, move || Database::new(&of_engine), true));
        for (name, body) in cases::ALL {
            let engine = engine.clone();
            trials.push(case(&format!("{}::{name}", engine.name), move || body(engine)));
        }
    }
    let code = run_trials(trials);
    for engine in &engines {
        engine.stop();
    }
    code
}
