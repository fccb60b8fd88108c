//! `tallybook import`, `export` and `verify`: ticks and pings between files and the store.

pub(crate) mod export;
pub(crate) mod import;
mod source;
pub(crate) mod verify;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use tallybook_core::{TimeRange, Timestamp};
use tallybook_exchange::{Compression, FileKind, InputFile, Shape, find};

use crate::settings::Settings;

/// The last moment that any record may have.
const LAST_MOMENT: Timestamp = Timestamp(7_258_118_400_000_000_000);
/// How often a progress bar is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// What is exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Family {
    /// Quotes of price feeds.
    Ticks,
    /// Probes of hosts.
    Pings,
}

/// Which store or server.
#[derive(Args)]
pub(crate) struct Where {
    /// The server at this address, and not the store of the settings
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The server's token
    #[arg(long, env = "API_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    #[command(flatten)]
    settings: Settings,
}

/// Which records.
#[derive(Args)]
pub(crate) struct Which {
    /// Only this symbol or target; may be given more than once
    #[arg(long = "symbol", visible_alias = "target", value_name = "NAME")]
    names: Vec<String>,
    /// From this moment on: 2026-11-01, or with a time as in RFC 3339
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    since: Option<Timestamp>,
    /// Until before this moment
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    until: Option<Timestamp>,
}

impl Which {
    fn range(&self) -> Result<TimeRange> {
        let range = TimeRange {
            from: self.since.unwrap_or(Timestamp(0)),
            to: self.until.unwrap_or(LAST_MOMENT).min(LAST_MOMENT),
        };
        if range.from >= range.to {
            bail!("--since {} is not before --until {}", range.from, range.to);
        }
        Ok(range)
    }

    fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == name)
    }
}

/// A day, or a moment.
fn parse_moment(text: &str) -> Result<Timestamp, String> {
    let day = || Timestamp::parse(&format!("{text}T00:00:00Z"));
    let moment = Timestamp::parse(text).or_else(day).filter(|moment| moment.0 >= 0);
    moment
        .ok_or_else(|| format!("`{text}` is neither a day such as 2026-11-01 nor a time such as 2026-11-01T12:00:00Z"))
}

/// The shape that `--format` names.
fn parse_shape(name: &str) -> Result<Shape, String> {
    Shape::from_name(name).ok_or_else(|| format!("there is no format `{name}`; there are: {}", Shape::NAMES.join(", ")))
}

/// The files that are named; `shape` is what all of them are, where that is said.
fn find_files(paths: &[PathBuf], shape: Option<Shape>) -> Result<Vec<InputFile>> {
    let mut files = find(paths, shape.map(|shape| FileKind { shape, compression: Compression::None }))?;
    // What is said of the records says nothing of the compression.
    for file in files.iter_mut().filter(|_| shape.is_some()) {
        file.kind.compression = match file.path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Compression::Gzip,
            Some("zst" | "zstd") => Compression::Zstd,
            _ => Compression::None,
        };
    }
    if files.is_empty() {
        bail!(
            "there is no file to read: none below it is called .csv, .ndjson, .json, .parquet or .db (with .gz or .zst)"
        );
    }
    Ok(files)
}

/// A bar of bytes, with the rate and the time left, where standard error is a terminal.
fn byte_bar(bytes: u64, what: &'static str) -> ProgressBar {
    bar(bytes, &format!("{what} {{wide_bar}} {{bytes}}/{{total_bytes}} {{msg}} {{eta}} left"))
}

/// A bar of records, likewise.
fn record_bar(records: Option<u64>, what: &'static str) -> ProgressBar {
    if let Some(records) = records {
        return bar(records, &format!("{what} {{wide_bar}} {{human_pos}}/{{human_len}} {{per_sec}} {{eta}} left"));
    }
    let bar = ProgressBar::new_spinner();
    bar.set_style(style(&format!("{what} {{spinner}} {{human_pos}} {{per_sec}}")));
    bar.enable_steady_tick(DRAW_EVERY);
    bar
}

fn bar(length: u64, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    bar.set_style(style(template));
    bar.enable_steady_tick(DRAW_EVERY);
    bar
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn plural(count: u64, one: &str) -> String {
    let count_shown = indicatif::HumanCount(count);
    if count == 1 { format!("1 {one}") } else { format!("{count_shown} {one}s") }
}
