//! What a server does for the runs beside it: it takes over what they spool, while they go on.

use std::time::{Duration, Instant, SystemTime};

use tallybook_runner::{Courier, Destination, NotTaken, Spool};
use tokio::time::sleep;
use tracing::{error, warn};

/// The time between two looks at the folder, which tell whether a run began, ended, or knocked.
const LOOK: Duration = Duration::from_millis(10);
/// The same when nothing has happened for a while.
const IDLE_LOOK: Duration = Duration::from_millis(100);
const IDLE_AFTER: Duration = Duration::from_secs(10);
/// The time between two looks into the spools of runs that go on.
const FOLLOW: Duration = Duration::from_millis(100);
/// The time between two tries when the store is away, or a spool cannot be read.
const RETRY: Duration = Duration::from_secs(1);

/// Until the task is dropped. What is not taken over then lies in the spool until the next start.
pub(crate) async fn drain(spool: Spool, destination: &dyn Destination) {
    let mut courier = Courier::new(spool.clone(), None);
    let (mut seen, mut looked_at, mut follow) = (None::<SystemTime>, Instant::now(), FOLLOW);
    // What earlier runs left is taken over at once.
    let (mut last_event, mut due) = (Instant::now(), true);
    loop {
        let changed_at = spool.changed_at();
        due |= changed_at != seen || (changed_at.is_some() && looked_at.elapsed() >= follow);
        if due {
            due = false;
            (seen, looked_at) = (changed_at, Instant::now());
            follow = match courier.round(destination).await {
                Ok(round) => {
                    if round.events + round.whole > 0 {
                        last_event = Instant::now();
                    }
                    let mut later = false;
                    for (id, failed) in &round.failed {
                        match failed {
                            NotTaken::Refused(why) => error!(execution = id, why, "events of a run were refused"),
                            NotTaken::Yet(why) => {
                                warn!(execution = id, why, "events of a run are not recorded yet");
                                later = true;
                            }
                        }
                    }
                    if later { RETRY } else { FOLLOW }
                }
                Err(error) => {
                    warn!(%error, "the spool of runs cannot be read");
                    RETRY
                }
            };
        }
        sleep(if last_event.elapsed() < IDLE_AFTER { LOOK } else { IDLE_LOOK }).await;
    }
}
