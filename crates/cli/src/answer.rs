//! What `tallybook sql` and `tallybook query` have in common: questions, their parameters, and answers as tables, JSON or CSV.

use std::io::{Read as _, Write as _};

use anyhow::Result;
use clap::Args;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::Value;
use tallybook_sqlite::distinct_names;

/// How an answer is printed.
#[derive(Args)]
pub(crate) struct Form {
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
    pub(crate) limit: usize,
}

/// Rows of JSON values.
pub(crate) struct Answer {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<Value>>,
    /// Whether there are more than the limit.
    pub(crate) more: bool,
}

/// The statement itself, or what the standard input says for `-`.
pub(crate) fn question(sql: &str) -> Result<String> {
    let mut text = sql.to_owned();
    if text == "-" {
        text.clear();
        std::io::stdin().read_to_string(&mut text)?;
    }
    Ok(text)
}

/// `5` is a number, `"5"` a text, and what is no JSON, or a list or an object, a text as it stands.
pub(crate) fn parameter(text: &str) -> Value {
    let json = serde_json::from_str(text).ok().filter(|json: &Value| !json.is_array() && !json.is_object());
    json.unwrap_or_else(|| Value::String(text.to_owned()))
}

impl Form {
    /// Prints an answer to the standard output.
    pub(crate) fn print(&self, answer: &Answer) -> Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json {
            let names = distinct_names(&answer.columns);
            for row in &answer.rows {
                let object = names.iter().cloned().zip(row.iter().cloned()).collect();
                writeln!(out, "{}", Value::Object(object))?;
            }
        } else if self.csv {
            write!(out, "{}", csv(answer))?;
        } else {
            writeln!(out, "{}", table(answer))?;
        }
        if answer.more {
            eprintln!("tallybook: there are more than {} rows; see --limit", self.limit);
        }
        Ok(())
    }
}

/// The Base64 of a blob.
fn blob(value: &Value) -> Option<&str> {
    value.as_object().filter(|object| object.len() == 1)?.get("base64")?.as_str()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

fn table(answer: &Answer) -> Table {
    let cell = |value: &Value| match blob(value) {
        Some(base64) => format!("({} bytes)", base64.trim_end_matches('=').len() * 3 / 4),
        None => shown(value),
    };
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_header(&answer.columns);
    for row in &answer.rows {
        table.add_row(row.iter().map(cell));
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        let is_number = |row: &Vec<Value>| row.get(at).is_some_and(|value| value.is_number() || value.is_null());
        if answer.rows.iter().all(is_number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// RFC 4180. A blob is Base64, as in JSON.
fn csv(answer: &Answer) -> String {
    let field = |text: &str| {
        let quoted = text.contains([',', '"', '\n', '\r']);
        if quoted { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
    };
    let value = |value: &Value| blob(value).map_or_else(|| field(&shown(value)), field);
    let mut lines = vec![answer.columns.iter().map(|name| field(name)).collect::<Vec<_>>().join(",")];
    lines.extend(answer.rows.iter().map(|row| row.iter().map(value).collect::<Vec<_>>().join(",")));
    lines.into_iter().map(|line| line + "\r\n").collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(row: Vec<Value>) -> Answer {
        Answer { columns: ["w", "x", "y", "z"].map(str::to_owned).into(), rows: vec![row], more: false }
    }

    #[test]
    fn a_parameter_is_json_or_else_a_text() {
        assert_eq!(parameter("5"), json!(5));
        assert_eq!(parameter("\"5\""), json!("5"));
        assert_eq!(parameter("checkout"), json!("checkout"));
        assert_eq!(parameter("[1]"), json!("[1]"));
        assert_eq!(parameter("null"), json!(null));
    }

    #[test]
    fn csv_quotes_what_needs_it() {
        let answer = answer(vec![json!("a,\"b\""), json!(null), json!(0.5), json!({ "base64": "AAE=" })]);
        assert_eq!(csv(&answer), "w,x,y,z\r\n\"a,\"\"b\"\"\",,0.5,AAE=\r\n");
    }

    #[test]
    fn a_table_says_how_long_a_blob_is() {
        let answer = answer(vec![json!("a"), json!(null), json!([1]), json!({ "base64": "AAE=" })]);
        let text = table(&answer).to_string();
        assert!(text.contains("(2 bytes)") && text.contains("[1]"), "{text}");
    }
}
