//! Signals to the runner, as events.

use std::io;
use std::sync::mpsc::Sender;

use nix::sys::signal::Signal;

use crate::process::Event;

/// What is passed on to the command, and the sign that it changed its state.
const SIGNALS: [Signal; 7] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGCHLD,
];

/// Sends every signal from now on, except those that whoever started the runner wants ignored (`nohup`).
///
/// # Errors
/// When no handler can be installed.
pub(crate) fn forward(events: Sender<Event>) -> io::Result<()> {
    let ignored = ignored_signals();
    let wanted = SIGNALS.iter().map(|signal| *signal as i32).filter(|number| ignored & (1 << (number - 1)) == 0);
    let mut signals = signal_hook::iterator::Signals::new(wanted)?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for number in signals.forever() {
            let Ok(signal) = Signal::try_from(number) else { continue };
            if events.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// One bit for each signal, the lowest for the first; none where the system does not tell.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
