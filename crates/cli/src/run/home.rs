//! Where a run is recorded, and how its events get there.

use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use tallybook_backends::Backend;
use tallybook_runner::{ArtifactLimits, Artifacts, Courier, Destination, Round, Spool};
use tokio::runtime::Runtime;

use super::destination::{ServerDestination, StoreDestination};
use crate::settings::Settings;
use crate::store;

/// How long the end of a run waits for the store or the server.
const LAST_MAX: Duration = Duration::from_secs(5);
/// How often the end of a run looks whether a server has taken it over.
const LAST_LOOK: Duration = Duration::from_millis(2);
/// A run that is longer than this is brought to a store that nobody holds while it goes on; then after twice the time.
const FIRST_STORE_ROUND: Duration = Duration::from_secs(1);
const MAX_STORE_ROUND: Duration = Duration::from_secs(30);
/// The time between two looks of a run that brings its events to a server; twice as long with each failure.
const SERVER_ROUND: Duration = Duration::from_millis(200);
const MAX_SERVER_ROUND: Duration = Duration::from_secs(10);

/// Where a run is recorded.
#[derive(Clone, Debug)]
pub(super) struct Home {
    settings: Settings,
    /// The address of the server and its token; without it, the store of the settings.
    server: Option<(String, Option<String>)>,
}

/// Why the record of a run is not where it belongs, and where it is.
#[derive(Debug)]
pub(super) struct Undelivered {
    pub(super) why: String,
    pub(super) path: PathBuf,
    /// Whether it will be tried again.
    pub(super) is_for_now: bool,
}

/// Brings events on while the command runs.
pub(super) struct Background {
    stop: Sender<()>,
    thread: JoinHandle<Result<Carrier>>,
}

/// A courier with what it needs to go on.
struct Carrier {
    home: Home,
    courier: Courier,
    server: Option<ServerDestination>,
    runtime: Runtime,
}

impl Home {
    /// Nothing is opened yet.
    ///
    /// # Errors
    /// One sentence when there is no such place.
    pub(super) fn new(settings: &Settings, server: Option<&str>, token: Option<&str>) -> Result<Self> {
        let token = token.map(ToOwned::to_owned).or_else(|| settings.network.api_token.clone());
        if let Some(address) = server {
            let address = store::server_address(address)?;
            return Ok(Self { settings: settings.clone(), server: Some((address, token)) });
        }
        if settings.store.use_db == Backend::Memory {
            bail!("USE_DB=memory would forget the run at once; name a server with --server");
        }
        Ok(Self { settings: settings.clone(), server: None })
    }

    pub(super) fn server(&self) -> Option<&str> {
        self.server.as_ref().map(|(address, _)| address.as_str())
    }

    fn spool(&self) -> Spool {
        Spool::of(&self.settings.store.data_dir)
    }

    fn carrier(&self) -> Result<Carrier> {
        let artifacts = Artifacts::of(&self.settings.store.data_dir, ArtifactLimits::default());
        let server = self.server.as_ref();
        // Beside a store, its retention decides.
        let forgets = !self.settings.store.data_dir.join("tallybook.db").exists();
        let server = server.map(|(address, token)| ServerDestination::new(address, token.clone(), artifacts, forgets));
        Ok(Carrier {
            courier: Courier::new(self.spool(), self.server().map(ToOwned::to_owned)),
            server: server.transpose()?,
            // One thread is enough, and costs no time to start.
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            home: self.clone(),
        })
    }

    /// Brings events on, on a thread of its own, until the run has ended.
    pub(super) fn start_courier(&self) -> Background {
        let home = self.clone();
        let (stop, stopped) = channel();
        let thread = thread::spawn(move || {
            let mut carrier = home.carrier()?;
            let (mut wait, longest) = match home.server {
                Some(_) => (SERVER_ROUND, MAX_SERVER_ROUND),
                None => (FIRST_STORE_ROUND, MAX_STORE_ROUND),
            };
            // Told to stop, or whoever would tell is gone.
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                let all_well = carrier.round().is_ok_and(|round| round.failed.is_empty());
                // A store that is opened again and again is in the way of others; a server that answers is not.
                wait = match home.server {
                    Some(_) if all_well => SERVER_ROUND,
                    _ => longest.min(wait * 2),
                };
            }
            Ok(carrier)
        });
        Background { stop, thread }
    }

    /// Brings the last events of a run home; says why where that is not possible now.
    pub(super) fn deliver_last(&self, background: Background, id: &str) -> Option<Undelivered> {
        let Background { stop, thread } = background;
        drop(stop);
        let spool = self.spool();
        let undelivered = |why| Undelivered { why, path: self.settings.store.data_dir.join("spool"), is_for_now: true };
        // A carrier that panicked is replaced; what it has delivered is known at the other end.
        let mut carrier = match thread.join().unwrap_or_else(|_| self.carrier()) {
            Ok(carrier) => carrier,
            Err(error) => return Some(undelivered(format!("{error:#}"))),
        };
        let begun = Instant::now();
        loop {
            let tried = carrier.round();
            if let Some(path) = spool.refused(id) {
                return Some(Undelivered { why: "it was refused".to_owned(), path, is_for_now: false });
            }
            // Somebody else may have taken it over, such as a server.
            if !spool.has(id) {
                return None;
            }
            let why = match tried {
                Ok(round) => round
                    .failed
                    .into_iter()
                    .find(|(failed, _)| failed == id)
                    .map_or_else(|| "its end could not be written".to_owned(), |(_, why)| why.to_string()),
                Err(error) => format!("{error:#}"),
            };
            // Only a store becomes free within a moment.
            if self.server.is_some() || begun.elapsed() > LAST_MAX {
                return Some(undelivered(why));
            }
            thread::sleep(LAST_LOOK);
        }
    }

    /// Delivers everything that lies here.
    ///
    /// # Errors
    /// One sentence when nothing can be delivered.
    pub(super) fn deliver_all(&self) -> Result<Round> {
        let begun = Instant::now();
        let mut carrier = self.carrier()?;
        loop {
            match carrier.round() {
                Err(_) if begun.elapsed() < LAST_MAX && self.server.is_none() => thread::sleep(LAST_LOOK),
                done => return done,
            }
        }
    }
}

impl Carrier {
    /// Brings on everything that lies here for this home, once.
    fn round(&mut self) -> Result<Round> {
        let Self { home, courier, server, runtime } = self;
        runtime.block_on(async {
            if let Some(server) = server {
                return round(courier, server).await;
            }
            let store = store::open(&home.settings, "tallybook run").await?;
            let done = round(courier, &StoreDestination::new(store.clone(), None)).await;
            store.close().await?;
            done
        })
    }
}

async fn round(courier: &mut Courier, destination: &dyn Destination) -> Result<Round> {
    courier.round(destination).await.map_err(|error| anyhow!("the spool cannot be read: {error}"))
}
