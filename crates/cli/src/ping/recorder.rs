//! Brings pings to their place while measuring goes on; what cannot be recorded is told, never dropped in silence.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use tallybook_core::Ping;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::place::Place;
use crate::remote::NotTaken;

/// Pings that wait to be recorded; more are not recorded, and counted.
const MAX_WAITING: usize = 100_000;
/// Pings of one request.
const MAX_BATCH: usize = 5_000;
/// The first wait after a failure; it doubles with each.
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// The longest wait after a failure.
const MAX_RETRY: Duration = Duration::from_secs(5);
/// How long the end may take.
const FINISH_LIMIT: Duration = Duration::from_secs(10);

/// Takes pings without waiting.
pub(crate) struct Recorder {
    pings: mpsc::Sender<Ping>,
    ledger: Arc<Mutex<Ledger>>,
    task: JoinHandle<Place>,
}

#[derive(Debug, Default)]
struct Ledger {
    taken: u64,
    recorded: u64,
    /// Why the last try failed; `None` after one that did not.
    trouble: Option<String>,
    /// Why the first of those that never will be recorded was refused.
    refused: Option<String>,
}

impl Recorder {
    /// Records in `place` until the recorder is finished.
    pub(crate) fn start(place: Place) -> Self {
        let (pings, waiting) = mpsc::channel(MAX_WAITING);
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let task = tokio::spawn(run(place, waiting, ledger.clone()));
        Self { pings, ledger, task }
    }

    /// Takes a ping; says at the end where it could not.
    pub(crate) fn take(&self, ping: Ping) {
        let mut ledger = locked(&self.ledger);
        ledger.taken += 1;
        if self.pings.try_send(ping).is_err() {
            ledger.refused.get_or_insert_with(|| format!("more than {MAX_WAITING} pings waited to be recorded"));
        }
    }

    /// What keeps pings from being recorded now.
    pub(crate) fn trouble(&self) -> Option<String> {
        let ledger = locked(&self.ledger);
        ledger.trouble.as_ref().or(ledger.refused.as_ref()).map(|why| format!("not recorded: {why}"))
    }

    /// Records what waits and closes the place.
    ///
    /// # Errors
    /// One sentence that counts the pings which are not recorded.
    pub(crate) async fn finish(self) -> Result<()> {
        let Self { pings, ledger, mut task } = self;
        drop(pings);
        match timeout(FINISH_LIMIT, &mut task).await {
            Ok(place) => place?.close(FINISH_LIMIT).await?,
            Err(_) => task.abort(),
        }
        let Ledger { taken, recorded, trouble, refused } = &*locked(&ledger);
        if recorded < taken {
            let why = refused.as_ref().or(trouble.as_ref()).map_or("it took too long", String::as_str);
            bail!("{} of {taken} pings could not be recorded: {why}", taken - recorded);
        }
        Ok(())
    }
}

fn locked(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Records batches that grow by themselves while the place is slow.
async fn run(place: Place, mut pings: mpsc::Receiver<Ping>, ledger: Arc<Mutex<Ledger>>) -> Place {
    let mut batch = Vec::new();
    while pings.recv_many(&mut batch, MAX_BATCH).await > 0 {
        record(&place, &batch, &ledger).await;
        batch.clear();
    }
    place
}

async fn record(place: &Place, batch: &[Ping], ledger: &Mutex<Ledger>) {
    let mut pause = FIRST_RETRY;
    loop {
        match place.take(batch).await {
            Ok(taken) => {
                let rejected = taken.rejected + taken.shed;
                let mut ledger = locked(ledger);
                ledger.recorded += (batch.len() as u64).saturating_sub(rejected);
                ledger.trouble = None;
                if rejected > 0 {
                    ledger.refused.get_or_insert_with(|| {
                        "they were refused or shed; see the dead letters and the statistics".to_owned()
                    });
                }
                return;
            }
            Err(NotTaken::Refused(why)) => {
                locked(ledger).refused.get_or_insert(why);
                return;
            }
            Err(NotTaken::Yet(why)) => locked(ledger).trouble = Some(why),
        }
        sleep(pause).await;
        pause = MAX_RETRY.min(pause * 2);
    }
}
