//! The probes that wait for their answers.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use super::packet::{Echo, Verdict};

/// Probes of one address family that may wait at a time.
pub(crate) const MAX_WAITING: usize = 32_768;

/// What was heard of a probe, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    pub(crate) at: Instant,
    pub(crate) verdict: Verdict,
    pub(crate) ttl: Option<u64>,
}

/// All probes of one socket that wait, by their number on the wire.
#[derive(Debug)]
pub(crate) struct Waiting(Mutex<Table>);

#[derive(Debug)]
struct Table {
    /// Not to be guessed from outside, and other in every process: only an answer to our probe has it.
    next_token: u64,
    probes: HashMap<u16, (Echo, oneshot::Sender<Heard>)>,
}

/// A probe's place; leaving it early is allowed.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) echo: Echo,
    pub(crate) answer: oneshot::Receiver<Heard>,
    waiting: &'a Waiting,
}

impl Waiting {
    pub(crate) fn new() -> Self {
        // The standard library seeds its hashers from the system's random numbers.
        let next_token = RandomState::new().build_hasher().finish();
        Self(Mutex::new(Table { next_token, probes: HashMap::new() }))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more probe; `None` when [`MAX_WAITING`] are taken.
    pub(crate) fn enter(&self, identifier: u16) -> Option<Place<'_>> {
        let mut table = self.table();
        if table.probes.len() >= MAX_WAITING {
            return None;
        }
        let echo = loop {
            let token = table.next_token;
            table.next_token = token.wrapping_add(1);
            let sequence = token as u16;
            if !table.probes.contains_key(&sequence) {
                break Echo { identifier, sequence, token };
            }
        };
        let (sender, answer) = oneshot::channel();
        table.probes.insert(echo.sequence, (echo, sender));
        Some(Place { echo, answer, waiting: self })
    }

    /// Gives what was heard to the probe it is about; what is late or foreign is dropped.
    pub(crate) fn heard(&self, echo: Echo, heard: Heard) {
        let mut table = self.table();
        if table.probes.get(&echo.sequence).is_some_and(|(waiting, _)| *waiting == echo)
            && let Some((_, answer)) = table.probes.remove(&echo.sequence)
        {
            // The probe may have given up in this moment.
            let _ = answer.send(heard);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut table = self.waiting.table();
        // Its number may be another probe's by now.
        if table.probes.get(&self.echo.sequence).is_some_and(|(echo, _)| *echo == self.echo) {
            table.probes.remove(&self.echo.sequence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARD: fn() -> Heard = || Heard { at: Instant::now(), verdict: Verdict::Answered, ttl: None };

    #[tokio::test]
    async fn only_the_very_answer_reaches_a_probe() {
        let waiting = Waiting::new();
        let mut place = waiting.enter(1).unwrap();
        let echo = place.echo;
        waiting.heard(Echo { token: echo.token.wrapping_add(65_536), ..echo }, HEARD());
        waiting.heard(Echo { identifier: 2, ..echo }, HEARD());
        waiting.heard(Echo { sequence: echo.sequence.wrapping_add(1), ..echo }, HEARD());
        assert!(place.answer.try_recv().is_err());
        waiting.heard(echo, HEARD());
        assert!((&mut place.answer).await.is_ok());
        waiting.heard(echo, HEARD());
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let waiting = Waiting::new();
        let mut places: Vec<_> = (0..MAX_WAITING).map(|_| waiting.enter(1).unwrap()).collect();
        assert!(waiting.enter(1).is_none());
        places.pop();
        assert!(waiting.enter(1).is_some());
        drop(places);
        assert!(waiting.table().probes.is_empty());
    }
}
