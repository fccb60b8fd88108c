//! `tallybook sql`: one question to Tallybook's own database, beside a running server as well.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Parser;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use tallybook_backends::Backend;
use tallybook_sqlite::{AskLimits, Params, Rows, Value, ask, from_json, to_json};

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
    /// Print a JSON object for each row, one a line
    #[arg(long, conflicts_with_all = ["csv", "table"])]
    json: bool,
    /// Print CSV with a heading
    #[arg(long, conflicts_with = "table")]
    csv: bool,
    /// Print a table, which is what is printed unless told otherwise
    #[arg(long)]
    table: bool,
    /// Rows at the most
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    limit: usize,
    /// How long it may take
    #[arg(long, default_value = "1m", value_name = "TIME", value_parser = humantime::parse_duration)]
    time_limit: Duration,
}

/// Asks and prints the answer.
pub(crate) fn run(command: &SqlCommand) -> Result<()> {
    let settings = &command.settings;
    if settings.use_db != Backend::Sqlite {
        bail!("`tallybook sql` reads USE_DB=sqlite; ask PostgreSQL with psql \"$DATABASE_URL\"");
    }
    let database = settings.data_dir.join("tallybook.db");
    if !database.exists() {
        bail!(
            "there is no {}; name the data folder with DATA_DIR, or make it by `tallybook serve`",
            database.display()
        );
    }
    let mut sql = command.sql.clone();
    if sql == "-" {
        sql.clear();
        std::io::stdin().read_to_string(&mut sql)?;
    }
    let params = command.params.iter().map(|text| value_of(text)).collect::<Vec<_>>();
    let params = if params.is_empty() { Params::None } else { params.into() };
    let limits = AskLimits { rows: command.limit, bytes: MAX_BYTES, time: command.time_limit };
    let rows = ask(&database, &sql, &params, limits)?;
    let mut out = std::io::stdout().lock();
    if command.json {
        for row in rows.to_json() {
            writeln!(out, "{}", serde_json::Value::Object(row))?;
        }
    } else if command.csv {
        write!(out, "{}", csv(&rows))?;
    } else {
        writeln!(out, "{}", table(&rows))?;
    }
    if rows.more {
        eprintln!("tallybook: there are more than {} rows; see --limit", command.limit);
    }
    Ok(())
}

/// `5` is a number, `"5"` a text, and what is no JSON a text as it stands.
fn value_of(text: &str) -> Value {
    let json = serde_json::from_str(text).ok().and_then(|json| from_json(&json).ok());
    json.unwrap_or_else(|| Value::Text(text.to_owned()))
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => format!("({} bytes)", bytes.len()),
        Value::Integer(_) | Value::Real(_) => to_json(value).to_string(),
    }
}

fn table(rows: &Rows) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(&rows.columns);
    for row in &rows.rows {
        table.add_row(row.iter().map(shown));
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        let is_number =
            |row: &Vec<Value>| matches!(row.get(at), Some(Value::Integer(_) | Value::Real(_) | Value::Null));
        if rows.rows.iter().all(is_number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// RFC 4180. A blob is Base64, as in JSON.
fn csv(rows: &Rows) -> String {
    let field = |text: &str| {
        let quoted = text.contains([',', '"', '\n', '\r']);
        if quoted { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
    };
    let value = |value: &Value| match (value, to_json(value)) {
        (Value::Blob(_), json) => field(json["base64"].as_str().unwrap_or_default()),
        _ => field(&shown(value)),
    };
    let mut lines = vec![rows.columns.iter().map(|name| field(name)).collect::<Vec<_>>().join(",")];
    lines.extend(rows.rows.iter().map(|row| row.iter().map(value).collect::<Vec<_>>().join(",")));
    lines.into_iter().map(|line| line + "\r\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_json_or_else_a_text() {
        assert_eq!(value_of("5"), Value::Integer(5));
        assert_eq!(value_of("\"5\""), Value::Text("5".to_owned()));
        assert_eq!(value_of("checkout"), Value::Text("checkout".to_owned()));
        assert_eq!(value_of("[1]"), Value::Text("[1]".to_owned()));
        assert_eq!(value_of("null"), Value::Null);
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        let row = vec![Value::Text("a,\"b\"".to_owned()), Value::Null, Value::Real(0.5), Value::Blob(vec![0, 1])];
        let rows = Rows { columns: ["w", "x", "y", "z"].map(str::to_owned).into(), rows: vec![row], more: false };
        assert_eq!(csv(&rows), "w,x,y,z\r\n\"a,\"\"b\"\"\",,0.5,AAE=\r\n");
    }
}
