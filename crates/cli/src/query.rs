//! `tallybook query`: questions to the DuckDB mirror and to sealed days of ticks, beside a running server as well.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Parser;

use crate::answer::Form;
use crate::settings::Settings;

/// `tallybook query`.
#[derive(Parser)]
pub(crate) struct QueryCommand {
    #[command(flatten)]
    settings: Settings,
    /// The question, in the SQL of DuckDB; `-` reads it from standard input
    #[arg(required_unless_present = "export", conflicts_with = "export")]
    sql: Option<String>,
    /// The values of `?`, each as JSON, or else taken as text
    #[arg(long = "param", value_name = "VALUE")]
    params: Vec<String>,
    /// The file of the mirror, and not the one of MIRROR_URL
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    form: Form,
    /// How long it may take
    #[arg(long, default_value = "10m", value_name = "TIME", value_parser = humantime::parse_duration)]
    time_limit: Duration,
    /// How long a server that writes the mirror is waited for
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = humantime::parse_duration)]
    wait: Duration,
    /// Write everything that the mirror holds into this new folder, as Parquet by table and UTC day
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
}

/// Asks and prints the answer.
#[cfg(not(feature = "duckdb"))]
pub(crate) fn run(_: &QueryCommand) -> Result<()> {
    match tallybook_backends::duckdb::is_compiled_in() {
        Err(sentence) => bail!(sentence),
        Ok(()) => bail!("build tallybook itself with --features duckdb"),
    }
}

/// Asks and prints the answer.
#[cfg(feature = "duckdb")]
pub(crate) fn run(command: &QueryCommand) -> Result<()> {
    use tallybook_backends::duckdb::{Analytics, AnswerLimits};

    use crate::answer::{Answer, parameter, question};

    let analytics = Analytics::open(&sources(command)?, command.wait)?;
    if let Some(folder) = &command.export {
        let exported = analytics.export(folder)?;
        let rows = exported.iter().map(|exported| vec![exported.table.into(), exported.rows.into()]).collect();
        return command.form.print(&Answer { columns: vec!["table".to_owned(), "rows".to_owned()], rows, more: false });
    }
    let sql = question(command.sql.as_deref().unwrap_or("-"))?;
    let params: Vec<_> = command.params.iter().map(|text| parameter(text)).collect();
    let limits = AnswerLimits { rows: command.form.limit, time: command.time_limit };
    let answer = analytics.ask(&sql, &params, limits)?;
    command.form.print(&Answer { columns: answer.columns, rows: answer.rows, more: answer.more })
}

/// The mirror that is named or set, and the days of ticks of the data folder.
#[cfg(feature = "duckdb")]
fn sources(command: &QueryCommand) -> Result<tallybook_backends::duckdb::Sources> {
    use tallybook_backends::{Backend, Place};

    let settings = &command.settings;
    let of_settings = match &settings.store.mirror_url {
        Some(Place::DuckDb(file)) => Some(file),
        _ => None,
    };
    let mirror = command.file.as_ref().or(of_settings).cloned();
    let ticks = Some(settings.store.data_dir.join("ticks"))
        .filter(|ticks| settings.store.use_db == Backend::Sqlite && ticks.exists());
    match &mirror {
        Some(file) if !file.exists() => {
            bail!("there is no {}; `tallybook serve` makes it with MIRROR_URL=duckdb:{0}", file.display())
        }
        None if command.export.is_some() => bail!("only a mirror is exported; name its file with --file or MIRROR_URL"),
        None if ticks.is_none() => bail!(
            "there is nothing to ask: name the mirror's file with --file or MIRROR_URL=duckdb:///FILE, or a folder with \
             sealed days of ticks with DATA_DIR"
        ),
        _ => Ok(tallybook_backends::duckdb::Sources { mirror, ticks }),
    }
}
