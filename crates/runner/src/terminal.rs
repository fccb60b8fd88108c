//! The terminal goes to the command while it runs, as a shell does it: a process group that is not in the foreground may not
//! read it.

use std::io::{IsTerminal as _, stdin};

use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};

/// The terminal the runner was started in the foreground of, if any.
#[derive(Debug)]
pub(crate) struct Terminal {
    ours: bool,
}

impl Terminal {
    /// The one of the standard input.
    pub(crate) fn of_input() -> Self {
        Self { ours: stdin().is_terminal() && tcgetpgrp(stdin()) == Ok(getpgrp()) }
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.ours
    }

    /// Gives it to a group, and wakes what of it was stopped for reading too early.
    pub(crate) fn give_to(&self, group: Pid) {
        if self.ours {
            set(group);
            let _ = killpg(group, Signal::SIGCONT);
        }
    }

    pub(crate) fn take_back(&self) {
        if self.ours {
            set(getpgrp());
        }
    }
}

/// A group in the background is stopped when it does this, unless it blocks the signal.
fn set(group: Pid) {
    let mut background = SigSet::empty();
    background.add(Signal::SIGTTOU);
    let blocked = background.thread_block();
    // The terminal may be gone, and the command with it.
    let _ = tcsetpgrp(stdin(), group);
    if blocked.is_ok() {
        let _ = background.thread_unblock();
    }
}
