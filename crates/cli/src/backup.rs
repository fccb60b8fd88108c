//! `tallybook backup`, `backups` and `restore`; and the backups that `serve` takes by itself.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use bytesize::ByteSize;
use clap::{Args, Parser};
use comfy_table::{CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tallybook_backends::Backend;
use tallybook_backup::{BackupName, Found, Keep, Manifest, Progress, Remote, Rule, TakeOptions, Target};
use tallybook_core::Timestamp;
use tallybook_sqlite::Cancel;
use tracing::{error, info};

use crate::settings::Settings;

/// How backups are taken and kept.
#[expect(clippy::struct_field_names, reason = "each is named like its setting")]
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Backups")]
pub(crate) struct BackupSettings {
    /// The folder of backups; `backups` in the data folder, unless it is named
    #[arg(long, env, value_name = "DIR")]
    backup_dir: Option<PathBuf>,
    /// Where each backup is sent as well, such as s3://bucket/prefix, with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
    /// AWS_REGION and AWS_ENDPOINT in the environment
    #[arg(long, env, value_name = "URL")]
    backup_upload: Option<String>,
    /// How often a server takes a backup by itself; never, unless it is said
    #[arg(long, env, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) backup_every: Option<Duration>,
    /// Backups that are kept, the newest ones
    #[arg(long, env, default_value_t = 7, value_name = "N", value_parser = at_least_one)]
    backup_keep: usize,
    /// The age at which a backup is removed; none is, unless it is said
    #[arg(long, env, value_name = "TIME", value_parser = humantime::parse_duration)]
    backup_keep_for: Option<Duration>,
    /// The same for single databases of `databases/`: NAME=N or NAME=TIME, with commas between
    #[arg(long, env, value_name = "NAME=…", value_parser = rules_of_databases)]
    backup_keep_databases: Option<RulesOfDatabases>,
    /// Whether backups are compressed with zstd
    #[arg(long, env, default_value_t = false, value_name = "BOOL", action = clap::ArgAction::Set)]
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

/// How long single databases are kept in backups.
type RulesOfDatabases = BTreeMap<String, Rule>;

fn rules_of_databases(text: &str) -> Result<RulesOfDatabases, String> {
    let mut rules = RulesOfDatabases::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let refused = || format!("`{part}` is not a database with a number or a time, such as shop=30 or shop=90d");
        let (name, value) = part.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(refused)?;
        let rule = rules.entry(name.to_owned()).or_default();
        if let Ok(count) = at_least_one(value) {
            rule.count = Some(count);
        } else {
            let age = humantime::parse_duration(value).ok().filter(|age| !age.is_zero());
            rule.age = Some(age.ok_or_else(refused)?);
        }
    }
    Ok(rules)
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
    /// Another place than the folder of backups: a folder, or such as s3://bucket/prefix
    #[arg(long, value_name = "PLACE")]
    from: Option<String>,
    /// Read every file again, and compare it with its checksum
    #[arg(long, conflicts_with = "from")]
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
    /// Another place than the folder of backups: a folder, or such as s3://bucket/prefix
    #[arg(long, value_name = "PLACE")]
    from: Option<String>,
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
        let mut taken = as_json(&found.name, &found.manifest);
        taken["path"] = json!(found.path);
        println!("{}", serde_json::to_string_pretty(&taken)?);
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
    let place = Place::new(&command.settings, command.from.as_deref())?;
    let mut all = place.list()?;
    if command.verify
        && let Place::Folder(target) = &place
    {
        all = target.list()?.iter().map(|found| (found.name.clone(), found.verify())).collect();
    }
    if command.json {
        println!(
            "{}",
            serde_json::to_string_pretty(
                &all.iter().map(|(name, manifest)| as_json(name, manifest)).collect::<Vec<_>>()
            )?
        );
    } else if all.is_empty() {
        println!("there is no backup in {place}; take one with `tallybook backup`");
    } else {
        println!("{}", table(&all));
    }
    match all.iter().filter(|(_, manifest)| manifest.is_err()).count() {
        0 => Ok(()),
        damaged => bail!("{damaged} of {} backups are damaged; take a new one, and remove them", all.len()),
    }
}

/// A backup, and what is in it or why that cannot be said.
type Listed = (BackupName, tallybook_backup::Result<Manifest>);

fn table(all: &[Listed]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY).set_header(["backup", "taken", "files", "size", "by itself", ""]);
    for (name, manifest) in all {
        let name = name.to_string();
        match manifest {
            Ok(manifest) => table.add_row([
                name,
                manifest.taken_at.chars().take(19).collect::<String>() + "Z",
                manifest.files.len().to_string(),
                ByteSize(manifest.bytes()).to_string(),
                ByteSize(manifest.own_bytes()).to_string(),
                if manifest.let_go > 0 { format!("{} others were let go", manifest.let_go) } else { String::new() },
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

fn as_json(name: &BackupName, manifest: &tallybook_backup::Result<Manifest>) -> serde_json::Value {
    let mut value = json!({ "name": name.to_string() });
    match manifest {
        Ok(manifest) => {
            value["taken_at"] = json!(manifest.taken_at);
            value["files"] = json!(manifest.files.len());
            value["bytes"] = json!(manifest.bytes());
            value["own_bytes"] = json!(manifest.own_bytes());
            value["took_ms"] = json!(manifest.took_ms);
            value["let_go"] = json!(manifest.let_go);
        }
        Err(error) => value["error"] = json!(error.to_string()),
    }
    value
}

/// Where backups are looked for.
enum Place {
    Folder(Target),
    Remote(Remote, String),
}

impl Place {
    fn new(settings: &Settings, from: Option<&str>) -> Result<Self> {
        Ok(match from {
            Some(url) if url.contains("://") => Self::Remote(remote(url)?, url.to_owned()),
            Some(folder) => Self::Folder(Target::new(folder)),
            None => Self::Folder(target(settings)),
        })
    }

    /// The newest first.
    fn list(&self) -> Result<Vec<Listed>> {
        Ok(match self {
            Self::Folder(target) => target.list()?.into_iter().map(|found| (found.name, found.manifest)).collect(),
            Self::Remote(remote, _) => remote.list()?,
        })
    }

    /// The backup that is asked for; from elsewhere, it is fetched into the folder of backups that is restored to.
    fn find(&self, command: &RestoreCommand, to: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Found> {
        let is_asked_for = |(name, manifest): &Listed| match (&command.name, manifest) {
            (Some(asked), _) => name == asked,
            (None, Ok(manifest)) => {
                command.at.is_none_or(|at| manifest.taken_at().is_ok_and(|taken_at| taken_at <= at))
            }
            (None, Err(_)) => false,
        };
        let missing = || anyhow!("there is no such backup in {self}; `tallybook backups` lists them");
        let (name, _) = self.list()?.into_iter().find(is_asked_for).ok_or_else(missing)?;
        Ok(match self {
            Self::Folder(target) => target.list()?.into_iter().find(|found| found.name == name).ok_or_else(missing)?,
            Self::Remote(remote, _) => remote.fetch(&name, &Target::new(to.join("backups")), progress)?,
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(target) => write!(f, "{}", target.folder().display()),
            Self::Remote(_, url) => f.write_str(url),
        }
    }
}

/// Puts a backup back into a folder that has none of it.
pub(crate) fn restore(command: &RestoreCommand) -> Result<()> {
    let settings = &command.settings;
    let to = command.to.as_ref().unwrap_or(&settings.store.data_dir);
    let place = Place::new(settings, command.from.as_deref())?;
    let bar = Bar::new();
    let found = place.find(command, to, &mut |progress| bar.show(&progress))?;
    if settings.store.use_db == Backend::Postgres {
        let restored = tallybook_backup::restore_postgres(&found, database_url(settings)?)?;
        println!("{}: {} in the database of DATABASE_URL", found.name, ByteSize(restored.bytes));
        return Ok(());
    }
    let restored = tallybook_backup::restore(&found, to, &mut |progress| bar.show(&progress))
        .with_context(|| format!("nothing was restored of {}", found.name))?;
    bar.0.finish_and_clear();
    println!("{}: {} files, {}, in {}; verified", found.name, restored.files, ByteSize(restored.bytes), to.display());
    if let Some(let_go) = found.manifest.as_ref().ok().map(|manifest| manifest.let_go).filter(|files| *files > 0) {
        eprintln!("tallybook: {let_go} other files of this backup were not kept as long; they are not restored");
    }
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
    Target::new(settings.backups.folder(&settings.store.data_dir))
}

fn options(settings: &BackupSettings, cancel: Cancel) -> TakeOptions {
    let all = Rule { count: Some(settings.backup_keep), age: settings.backup_keep_for };
    let keep = Keep { all, databases: settings.backup_keep_databases.clone().unwrap_or_default() };
    TakeOptions { compress: settings.backup_compress, keep, cancel }
}

/// Takes one backup of whatever the store is.
fn take_one(settings: &Settings, options: &TakeOptions, progress: &mut dyn FnMut(Progress)) -> Result<Found> {
    let target = target(settings);
    let found = match settings.store.use_db {
        Backend::Sqlite => tallybook_backup::take(&settings.store.data_dir, &target, options, progress)?,
        Backend::Postgres => tallybook_backup::take_postgres(database_url(settings)?, &target, options)?,
        Backend::Memory => bail!("USE_DB=memory keeps nothing that could be backed up"),
    };
    if let Some(url) = &settings.backups.backup_upload {
        let remote = remote(url)?;
        remote
            .upload(&found, progress)
            .with_context(|| format!("{} is here, and was not sent", found.path.display()))?;
        remote.prune(&options.keep)?;
    }
    Ok(found)
}

fn remote(url: &str) -> Result<Remote> {
    Ok(Remote::open(url, std::env::vars())?)
}

fn database_url(settings: &Settings) -> Result<&str> {
    settings.store.database_url.as_deref().context("USE_DB=postgres needs DATABASE_URL")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_of_databases_are_numbers_and_times() {
        let day = Duration::from_secs(86_400);
        let rules = rules_of_databases("shop=30, audit=90d,shop=7d").unwrap();
        assert_eq!(rules["shop"], Rule { count: Some(30), age: Some(7 * day) });
        assert_eq!(rules["audit"], Rule { count: None, age: Some(90 * day) });
        for text in ["shop", "shop=", "=3", "shop=0", "shop=soon"] {
            let said = rules_of_databases(text).unwrap_err();
            assert!(said.contains("such as shop=30"), "{said}");
        }
    }
}
