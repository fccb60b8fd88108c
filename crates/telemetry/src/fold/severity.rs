//! The severity of a log record: by its number, else by its text in any case.

use tallybook_core::Severity;

/// What the loggers of the common languages and syslog call their levels.
const NAMES: &[(&str, Severity)] = &[
    ("info", Severity::Info),
    ("warn", Severity::Warn),
    ("warning", Severity::Warn),
    ("error", Severity::Error),
    ("debug", Severity::Debug),
    ("information", Severity::Info),
    ("informational", Severity::Info),
    ("notice", Severity::Info),
    ("i", Severity::Info),
    ("w", Severity::Warn),
    ("e", Severity::Error),
    ("d", Severity::Debug),
    ("err", Severity::Error),
    ("severe", Severity::Error),
    ("critical", Severity::Fatal),
    ("crit", Severity::Fatal),
    ("fatal", Severity::Fatal),
    ("alert", Severity::Fatal),
    ("emergency", Severity::Fatal),
    ("emerg", Severity::Fatal),
    ("panic", Severity::Fatal),
    ("dpanic", Severity::Fatal),
    ("f", Severity::Fatal),
    ("dbg", Severity::Debug),
    ("config", Severity::Debug),
    ("fine", Severity::Debug),
    ("finer", Severity::Debug),
    ("finest", Severity::Trace),
    ("trace", Severity::Trace),
    ("verbose", Severity::Trace),
    ("silly", Severity::Trace),
    ("v", Severity::Trace),
    ("t", Severity::Trace),
];

/// `number` first, by its range; then `text`, with or without the number that OpenTelemetry puts behind a name (`INFO2`).
pub(super) fn severity(number: i32, text: &[u8]) -> Severity {
    match number {
        1..=4 => return Severity::Trace,
        5..=8 => return Severity::Debug,
        9..=12 => return Severity::Info,
        13..=16 => return Severity::Warn,
        17..=20 => return Severity::Error,
        21..=24 => return Severity::Fatal,
        _ => {}
    }
    let text = text.trim_ascii();
    let name = text.strip_suffix(b"2").or(text.strip_suffix(b"3")).or(text.strip_suffix(b"4")).unwrap_or(text);
    let known = NAMES.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
    known.map_or(Severity::Unspecified, |&(_, severity)| severity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_decides_by_its_range_whatever_the_text_says() {
        let ranges = [
            (1..=4, Severity::Trace),
            (5..=8, Severity::Debug),
            (9..=12, Severity::Info),
            (13..=16, Severity::Warn),
            (17..=20, Severity::Error),
            (21..=24, Severity::Fatal),
        ];
        for (range, expected) in ranges {
            for number in range {
                assert_eq!(severity(number, b"debug"), expected, "{number}");
            }
        }
    }

    #[test]
    fn without_a_known_number_the_text_decides_in_any_case() {
        let texts = [
            ("warning", Severity::Warn),
            ("WARN", Severity::Warn),
            ("Err", Severity::Error),
            ("SEVERE", Severity::Error),
            ("critical", Severity::Fatal),
            ("emerg", Severity::Fatal),
            ("notice", Severity::Info),
            ("Information", Severity::Info),
            (" info ", Severity::Info),
            ("INFO2", Severity::Info),
            ("DEBUG4", Severity::Debug),
            ("verbose", Severity::Trace),
            ("", Severity::Unspecified),
            ("2", Severity::Unspecified),
            ("banana", Severity::Unspecified),
        ];
        for (text, expected) in texts {
            for number in [0, -1, 25, i32::MAX] {
                assert_eq!(severity(number, text.as_bytes()), expected, "{text}");
            }
        }
    }
}
