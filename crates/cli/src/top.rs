//! `tallybook top`: the worst keys, metrics and templates of a running server, as tables that renew themselves.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use reqwest::Method;
use serde_json::{Value, json};

use crate::running::Running;

/// What `top` shows, and of which server.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    api: Running,
    /// Rows in each table
    #[arg(long, default_value_t = 10, value_name = "N")]
    limit: usize,
    /// The time between two pictures
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = humantime::parse_duration)]
    interval: Duration,
    /// Show one picture and end; so does a pipe
    #[arg(long)]
    once: bool,
    /// Print JSON, once
    #[arg(long)]
    json: bool,
}

struct Panel {
    title: &'static str,
    /// The key in JSON.
    name: &'static str,
    list: &'static str,
    /// Heading, field of the item, whether it is a number.
    columns: &'static [(&'static str, &'static str, bool)],
}

const PANELS: &[Panel] = &[
    Panel {
        title: "Attribute keys by distinct values",
        name: "attributes",
        list: "attributes?sort=cardinality&order=desc",
        columns: &[
            ("key", "key", false),
            ("scope", "scope", false),
            ("signals", "signal_types", false),
            ("values", "estimated_cardinality", true),
            ("records", "count", true),
        ],
    },
    Panel {
        title: "Metrics by series",
        name: "metrics",
        list: "metrics?sort=active_series&order=desc",
        columns: &[
            ("metric", "name", false),
            ("type", "type", false),
            ("series (OTLP)", "active_series_otlp", true),
            ("series (Prometheus)", "active_series_prometheus", true),
            ("data points", "sample_count", true),
        ],
    },
    Panel {
        title: "Log templates by records",
        name: "templates",
        list: "logs/templates?sort=count&order=desc",
        columns: &[
            ("service", "service", false),
            ("severity", "severity", false),
            ("template", "template", false),
            ("records", "count", true),
            ("%", "percentage", true),
        ],
    },
];

/// Shows the tables until interrupted, or once.
pub(crate) fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(show(options))
}

async fn show(options: &Options) -> Result<()> {
    let live = !options.once && !options.json && std::io::stdout().is_terminal();
    loop {
        let mut lists = Vec::with_capacity(PANELS.len());
        for panel in PANELS {
            lists.push(fetch(options, panel).await?);
        }
        if options.json {
            let lists = PANELS.iter().zip(lists).map(|(panel, list)| (panel.name.to_owned(), json!(list)));
            println!("{}", serde_json::to_string_pretty(&Value::Object(lists.collect()))?);
            return Ok(());
        }
        let tables =
            PANELS.iter().zip(&lists).map(|(panel, items)| format!("{}\n{}\n\n", panel.title, table(panel, items)));
        let picture: String = tables.collect();
        let mut out = std::io::stdout().lock();
        if !live {
            return Ok(write!(out, "{picture}")?);
        }
        // Home, the picture, and nothing below it: no flicker from clearing first.
        writeln!(
            out,
            "\x1b[H{}\x1b[J{} · every {} · Ctrl-C ends",
            picture.replace('\n', "\x1b[K\n"),
            options.api.server,
            humantime::format_duration(options.interval)
        )?;
        out.flush()?;
        drop(out);
        tokio::time::sleep(options.interval).await;
    }
}

async fn fetch(options: &Options, panel: &Panel) -> Result<Vec<Value>> {
    let mut answer = options.api.ask(Method::GET, &format!("{}&limit={}", panel.list, options.limit)).await?;
    match answer["data"].take() {
        Value::Array(items) => Ok(items),
        _ => bail!("{} did not answer with a list; is it a Tallybook server?", options.api.server),
    }
}

fn table(panel: &Panel, items: &[Value]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(panel.columns.iter().map(|(heading, ..)| *heading));
    for item in items {
        table.add_row(panel.columns.iter().map(|(_, field, _)| shown(&item[*field])));
    }
    for (at, (.., number)) in panel.columns.iter().enumerate() {
        if let (true, Some(column)) = (number, table.column_mut(at)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Number(number) if number.is_f64() => format!("{:.1}", number.as_f64().unwrap_or_default()),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    }
}
