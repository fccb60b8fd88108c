//! The table: what was measured beside what is asked.

use std::fmt;

use comfy_table::Table;
use tallybook_benches::table::markdown;

/// What is asked of a number.
#[derive(Clone, Copy)]
pub(crate) enum Asked {
    AtLeast(f64),
    AtMost(f64),
    /// It stands there to be compared with.
    Nothing,
}

pub(crate) struct Report(Table);

impl Report {
    pub(crate) fn new() -> Self {
        Self(markdown(["", "measured", "asked", "met"]))
    }

    /// Adds a line, and says it at once: the whole takes minutes.
    pub(crate) fn add(&mut self, what: impl Into<String>, measured: f64, asked: Asked) {
        let what = what.into();
        let (asked, met) = match asked {
            Asked::AtLeast(least) => (format!("at least {}", shown(least)), yes(measured >= least)),
            Asked::AtMost(most) => (format!("at most {}", shown(most)), yes(measured <= most)),
            Asked::Nothing => (String::new(), ""),
        };
        eprintln!("{what}: {} {asked}", shown(measured));
        self.0.add_row([what, shown(measured), asked, met.to_owned()]);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn yes(met: bool) -> &'static str {
    if met { "yes" } else { "no" }
}

/// Three digits at the least; great numbers in groups of three.
fn shown(number: f64) -> String {
    if number < 100.0 {
        return format!("{number:.2}");
    }
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
