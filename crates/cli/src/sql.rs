//! `tallybook sql`: one question to Tallybook's own database, beside a running server as well.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use tallybook_sqlite::{AskLimits, Params, ask, from_json, to_json};

use crate::answer::{Answer, Form, parameter, question};
use crate::settings::Settings;

/// Bytes of an answer.
const MAX_BYTES: usize = 1 << 30;

/// `tallybook sql`.
#[derive(Parser)]
pub(crate) struct SqlCommand {
    #[command(flatten)]
    settings: Settings,
    /// One statement that reads; `-` reads it from standard input
    sql: String,
    /// The values of `?`, each as JSON, or else taken as text
    #[arg(long = "param", value_name = "VALUE")]
    params: Vec<String>,
    #[command(flatten)]
    form: Form,
    /// How long it may take
    #[arg(long, default_value = "1m", value_name = "TIME", value_parser = humantime::parse_duration)]
    time_limit: Duration,
}

/// Asks and prints the answer.
pub(crate) fn run(command: &SqlCommand) -> Result<()> {
    let settings = &command.settings;
    settings.store.need_sqlite("tallybook sql", "ask PostgreSQL with psql \"$DATABASE_URL\"")?;
    let database = settings.store.data_dir.join("tallybook.db");
    if !database.exists() {
        bail!(
            "there is no {}; name the data folder with DATA_DIR, or make it by `tallybook serve`",
            database.display()
        );
    }
    let sql = question(&command.sql)?;
    let params = command.params.iter().map(|text| from_json(&parameter(text))).collect::<Result<Vec<_>, _>>();
    let params = params.context("--param")?;
    let params = if params.is_empty() { Params::None } else { params.into() };
    let limits = AskLimits { rows: command.form.limit, bytes: MAX_BYTES, time: command.time_limit };
    let rows = ask(&database, &sql, &params, limits)?;
    let values = rows.rows.iter().map(|row| row.iter().map(to_json).collect()).collect();
    command.form.print(&Answer { columns: rows.columns, rows: values, more: rows.more })
}
