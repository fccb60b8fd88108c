//! A move: everything from one store to a follower, once.

use std::ops::ControlFlow;

use tallybook_core::{Error, Follower, Result, Store};
use tokio::time::sleep;

use crate::Progress;
use crate::backoff::Backoff;
use crate::follow::run;
use crate::pages::PageLength;

/// Failures in a row after which a move gives up: about two minutes.
const MAX_FAILURES: u32 = 18;

/// Brings everything there is in `primary` to `follower`, from where the follower is. `look` hears of every page and of
/// every failure that is tried again. The primary may take writes meanwhile; those that came before the last page are there.
///
/// # Errors
/// What keeps failing. What was moved stays, and the next call goes on from there.
pub async fn move_all(
    primary: &dyn Store,
    follower: &dyn Follower,
    mut look: impl FnMut(&Progress, Option<&Error>) + Send,
) -> Result<Progress> {
    let (mut length, mut progress) = (PageLength::new(), Progress::default());
    let (mut backoff, mut failures, mut kept) = (Backoff::new(), 0, 0);
    loop {
        let ended = run(primary, follower, &mut length, &mut progress, None, |step| {
            look(step.progress, None);
            ControlFlow::Continue(())
        });
        let Err(error) = ended.await else { return Ok(progress) };
        if progress.pages > kept {
            (failures, kept) = (0, progress.pages);
            backoff.reset();
        }
        failures += 1;
        if !error.is_retryable() || failures > MAX_FAILURES {
            return Err(error);
        }
        look(&progress, Some(&error));
        sleep(backoff.next()).await;
    }
}
