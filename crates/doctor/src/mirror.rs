//! What follows the store, and how far behind it is.

use std::time::Duration;

use crate::{Report, Severity};

/// A mirror that is further behind than this is worth a look.
const LAG_MAX: Duration = Duration::from_secs(5 * 60);
const CHECK: &str = "mirror";

/// A mirror as the server that feeds it has it.
#[derive(Clone, Copy, Debug)]
pub struct Mirror<'a> {
    /// What it is and where.
    pub target: &'a str,
    /// `following`, `failing`, …
    pub state: &'a str,
    /// How old the oldest thing may be that waits.
    pub lag: Option<Duration>,
    /// What failed last.
    pub last_error: Option<&'a str>,
}

/// Judges a mirror.
pub fn examine(mirror: Mirror<'_>, report: &mut Report) {
    let Mirror { target, state, lag, last_error } = mirror;
    let behind = lag.map_or("how far behind it is, is not known yet".to_owned(), |lag| {
        format!("{} behind", humantime::format_duration(Duration::from_secs(lag.as_secs())))
    });
    let said = format!("{target} is {}, {behind}", state.replace('_', " "));
    let mut bad = |said: String, meaning, fix| report.bad(Severity::Warning, CHECK, said, meaning, fix);
    match state {
        "failing" => bad(
            format!("{said}: {}", last_error.unwrap_or("nobody knows why")),
            "it does not get what comes; it is tried again until it works, and then catches up",
            "see to what MIRROR_URL names; then: tallybook mirror status",
        ),
        "refused" => bad(
            said,
            "it holds what came from another store, and gets nothing from this one",
            "tallybook mirror rebuild --yes, which empties it; or name another with MIRROR_URL",
        ),
        "paused" => bad(said, "it was told to rest, and gets nothing meanwhile", "tallybook mirror resume"),
        _ if lag.is_some_and(|lag| lag > LAG_MAX) => bad(
            said,
            "what is asked of it is old by so much",
            "tallybook mirror status, twice: if it does not get less, what MIRROR_URL names is too slow",
        ),
        _ => report.ok(CHECK, said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_that_lags_fails_or_rests_is_told_of_with_what_mends_it() {
        let judged = |state, seconds: Option<u64>| {
            let mut report = Report::default();
            let lag = seconds.map(Duration::from_secs);
            examine(Mirror { target: "there", state, lag, last_error: Some("no room") }, &mut report);
            report.findings.remove(0)
        };
        for (state, lag) in [("following", Some(1)), ("catching_up", Some(299)), ("starting", None)] {
            assert_eq!(judged(state, lag).severity, Severity::Ok, "{state}");
        }
        for (state, lag, mends) in [
            ("catching_up", Some(301), "mirror status"),
            ("failing", Some(1), "mirror status"),
            ("refused", None, "mirror rebuild --yes"),
            ("paused", Some(1), "mirror resume"),
        ] {
            let finding = judged(state, lag);
            assert_eq!(finding.severity, Severity::Warning, "{state}");
            assert!(finding.fix.unwrap().contains(mends), "{state}");
        }
        assert!(judged("failing", None).found.contains("no room"));
    }
}
