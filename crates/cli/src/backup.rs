//! `tallybook backup`, `backups` and `restore`; and the backups that `serve` takes by itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use bytesize::ByteSize;
use clap::{Args, Parser};
use comfy_table::{CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tallybook_backends::Backend;
use tallybook_backup::{BackupName, Found, Keep, Progress, TakeOptions, Target};
use tallybook_core::Timestamp;
use tallybook_sqlite::Cancel;
use tracing::{error, info};

use crate::settings::Settings;

/// How backups are taken and kept.
#[derive(Args, Clone, Debug)]
pub(crate) struct BackupSettings {
    /// The folder of backups; `backups` in the data folder, unless it is named
    #[arg(long, env = "BACKUP_DIR", value_name = "DIR", help_heading = "Backups")]
    backup_dir: Option<PathBuf>,
    /// How often a server takes a backup by itself; never, unless it is said
    #[arg(long, env = "BACKUP_EVERY", value_name = "TIME", value_parser = humantime::parse_duration, help_heading = "Backups")]
    pub(crate) backup_every: Option<Duration>,
    /// Backups that are kept, the newest ones
    #[arg(long, env = "BACKUP_KEEP", default_value_t = 7, value_name = "N", value_parser = at_least_one, help_heading = "Backups")]
    backup_keep: usize,
    /// The age at which a backup is removed; none is, unless it is said
    #[arg(long, env = "BACKUP_KEEP_FOR", value_name = "TIME", value_parser = humantime::parse_duration, help_heading = "Backups")]
    backup_keep_for: Option<Duration>,
    /// Whether backups are compressed with zstd
    #[arg(long, env = "BACKUP_COMPRESS", default_value_t = false, value_name = "BOOL", action = clap::ArgAction::Set, help_heading = "Backups")]
    backup_compress: bool,
}

impl BackupSettings {
    /// Where backups are.
    pub(crate) fn folder(&self, data_dir: &Path) -> PathBuf {
        self.backup_dir.clone().unwrap_or_else(|| data_dir.join("backups"))
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| *count > 0).ok_or_else(|| format!("`{text}` is not a number from 1 on"))
}

/// `tallybook backup`.
#[derive(Parser)]
pub(crate) struct TakeCommand {
    #[command(flatten)]
    settings: Settings,
    /// Print what was taken as JSON
    #[arg(long)]
    json: bool,
}

/// `tallybook backups`.
#[derive(Parser)]
pub(crate) struct ListCommand {
    #[command(flatten)]
    settings: Settings,
    /// Read every file again, and compare it with its checksum
    #[arg(long)]
    verify: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `tallybook restore`.
#[derive(Parser)]
pub(crate) struct RestoreCommand {
    #[command(flatten)]
    settings: Settings,
    /// The backup, by name; else the newest one
    name: Option<BackupName>,
    /// The newest backup that was begun at this time or before, such as 2026-11-26T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with = "name")]
    at: Option<Timestamp>,
    /// The folder to restore to; the data folder, unless it is named
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| format!("`{text}` is not a time such as 2026-11-26T12:00:00Z"))
}

/// Takes a backup of the data folder, whether or not a server works in it.
pub(crate) fn take(command: &TakeCommand) -> Result<()> {
    let settings = &command.settings;
    let bar = Bar::new();
    let options = options(&settings.backups, Cancel::new());
    let found = take_one(settings, &options, &mut |progress| bar.show(&progress))?;
    bar.0.finish_and_clear();
    let manifest = found.manifest.clone()?;
    if command.json {
        println!("{}", serde_json::to_string_pretty(&as_json(&found))?);
        return Ok(());
    }
    println!(
        "{}: {} files, {}, of which {} are new; verified, in {}",
        found.path.display(),
        manifest.files.len(),
        ByteSize(manifest.bytes()),
        ByteSize(manifest.own_bytes()),
        humantime::format_duration(Duration::from_millis(manifest.took_ms)),
    );
    Ok(())
}

/// Lists the backups there are.
pub(crate) fn list(command: &ListCommand) -> Result<()> {
    let target = target(&command.settings);
    let mut all = target.list()?;
    if command.verify {
        for found in &mut all {
            found.manifest = found.verify();
        }
    }
    if command.json {
        println!("{}", serde_json::to_string_pretty(&all.iter().map(as_json).collect::<Vec<_>>())?);
    } else if all.is_empty() {
        println!("there is no backup in {}; take one with `tallybook backup`", target.folder().display());
    } else {
        println!("{}", table(&all));
    }
    match all.iter().filter(|found| found.manifest.is_err()).count() {
        0 => Ok(()),
        damaged => bail!("{damaged} of {} backups are damaged; take a new one, and remove them", all.len()),
    }
}

fn table(all: &[Found]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY).set_header(["backup", "taken", "files", "size", "by itself", ""]);
    for found in all {
        let name = found.name.to_string();
        match &found.manifest {
            Ok(manifest) => table.add_row([
                name,
                manifest.taken_at.chars().take(19).collect::<String>() + "Z",
                manifest.files.len().to_string(),
                ByteSize(manifest.bytes()).to_string(),
                ByteSize(manifest.own_bytes()).to_string(),
                String::new(),
            ]),
            Err(error) => {
                table.add_row([name, String::new(), String::new(), String::new(), String::new(), error.to_string()])
            }
        };
    }
    for column in table.column_iter_mut().skip(2).take(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn as_json(found: &Found) -> serde_json::Value {
    let mut value = json!({ "name": found.name.to_string(), "path": found.path });
    match &found.manifest {
        Ok(manifest) => {
            value["taken_at"] = json!(manifest.taken_at);
            value["files"] = json!(manifest.files.len());
            value["bytes"] = json!(manifest.bytes());
            value["own_bytes"] = json!(manifest.own_bytes());
            value["took_ms"] = json!(manifest.took_ms);
        }
        Err(error) => value["error"] = json!(error.to_string()),
    }
    value
}

/// Puts a backup back into a folder that has none of it.
pub(crate) fn restore(command: &RestoreCommand) -> Result<()> {
    let settings = &command.settings;
    let target = target(settings);
    let folder = target.folder().display();
    let found = match &command.name {
        Some(name) => target.list()?.into_iter().find(|found| found.name == *name),
        None => target.newest(command.at)?.map(|(found, _)| found),
    };
    let found = found.ok_or_else(|| anyhow!("there is no such backup in {folder}; `tallybook backups` lists them"))?;
    if settings.use_db == Backend::Postgres {
        let restored = tallybook_backup::restore_postgres(&found, database_url(settings)?)?;
        println!("{}: {} in the database of DATABASE_URL", found.name, ByteSize(restored.bytes));
        return Ok(());
    }
    let to = command.to.as_ref().unwrap_or(&settings.data_dir);
    let bar = Bar::new();
    let restored = tallybook_backup::restore(&found, to, &mut |progress| bar.show(&progress))
        .with_context(|| format!("nothing was restored of {}", found.name))?;
    bar.0.finish_and_clear();
    println!("{}: {} files, {}, in {}; verified", found.name, restored.files, ByteSize(restored.bytes), to.display());
    println!("next: tallybook serve --data-dir {}", to.display());
    Ok(())
}

/// Takes backups every so often, until it is dropped. A failed one is told of, and the next one comes at its time.
pub(crate) async fn take_regularly(settings: Settings, cancel: Cancel) {
    let Some(every) = settings.backups.backup_every.filter(|every| !every.is_zero()) else { return };
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // The first one comes at once.
    ticks.tick().await;
    while !cancel.is_cancelled() {
        ticks.tick().await;
        let (settings, options) = (settings.clone(), options(&settings.backups, cancel.clone()));
        let take = move || take_one(&settings, &options, &mut |_| ());
        match tokio::task::spawn_blocking(take).await {
            Ok(Ok(found)) => info!("backed up as {}", found.path.display()),
            Ok(Err(_)) if cancel.is_cancelled() => {}
            Ok(Err(failure)) => error!(%failure, "a backup failed; the ones before are as they were"),
            Err(failure) => error!(%failure, "a backup ended without an answer"),
        }
    }
}

fn target(settings: &Settings) -> Target {
    Target::new(settings.backups.folder(&settings.data_dir))
}

fn options(settings: &BackupSettings, cancel: Cancel) -> TakeOptions {
    let keep = Keep { count: Some(settings.backup_keep), age: settings.backup_keep_for };
    TakeOptions { compress: settings.backup_compress, keep, cancel }
}

/// Takes one backup of whatever the store is.
fn take_one(settings: &Settings, options: &TakeOptions, progress: &mut dyn FnMut(Progress)) -> Result<Found> {
    let target = target(settings);
    Ok(match settings.use_db {
        Backend::Sqlite => tallybook_backup::take(&settings.data_dir, &target, options, progress)?,
        Backend::Postgres => tallybook_backup::take_postgres(database_url(settings)?, &target, options)?,
        Backend::Memory => bail!("USE_DB=memory keeps nothing that could be backed up"),
    })
}

fn database_url(settings: &Settings) -> Result<&str> {
    settings.database_url.as_deref().context("USE_DB=postgres needs DATABASE_URL")
}

/// A bar on a terminal, and nothing elsewhere.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        let style = "{bar:30} {bytes}/{total_bytes} {wide_msg}";
        let bar = ProgressBar::new(0);
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar)
    }

    fn show(&self, progress: &Progress) {
        self.0.set_length(progress.bytes);
        self.0.set_position(progress.bytes_done);
        self.0.set_message(format!("{} of {}: {}", progress.files_done + 1, progress.files, progress.file));
    }
}
