//! `cargo xtask bench executions`: what `tallybook run` costs a command, and what a server bears of many.

mod client;
mod list;
mod many;
mod overhead;

use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use comfy_table::{Table, presets::ASCII_MARKDOWN};

/// Runs commands with and without `tallybook run`, and loads a server process over loopback; prints tables in Markdown.
#[derive(Parser)]
struct Options {
    /// Runs of `true`, with and without
    #[arg(long, default_value_t = 100)]
    runs: usize,
    /// Lines that are printed
    #[arg(long, default_value_t = 1_000_000)]
    lines: u64,
    /// Runs of each command that prints them, with and without; the best of each counts
    #[arg(long, default_value_t = 5)]
    tries: usize,
    /// Executions that print lines at once
    #[arg(long, default_value_t = 500)]
    executions: u64,
    /// Seconds that they print, and that states are changed
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Executions in the store whose list is asked for
    #[arg(long, default_value_t = 1_000_000)]
    listed: u64,
}

fn main() -> Result<()> {
    let options = Options::parse();
    overhead::of_true(options.runs)?;
    overhead::of_lines(options.lines, options.tries)?;
    many::lines(options.executions, Duration::from_secs(options.seconds))?;
    many::changes(Duration::from_secs(options.seconds))?;
    list::newest(options.listed)?;
    Ok(())
}

fn markdown<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN).set_header(header);
    table
}

/// The value that `share` of all are not above.
fn percentile<T: Copy + Ord>(values: &mut [T], share: f64) -> Option<T> {
    values.sort_unstable();
    let last = values.len().checked_sub(1)?;
    Some(values[(last as f64 * share).round() as usize])
}
