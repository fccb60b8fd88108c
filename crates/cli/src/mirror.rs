//! `tallybook mirror`: what follows the store of a running server, and the orders it takes.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use reqwest::Method;
use serde_json::Value;

use crate::running::Running;

/// What is asked or told, and of which server.
#[derive(Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    order: Order,
    #[command(flatten)]
    api: Running,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Order {
    /// Shows how far behind it is, and what failed last
    Status,
    /// Tells it to rest; the server goes on
    Pause,
    /// Tells it to go on
    Resume,
    /// Tells it to remove everything it holds and begin anew
    Rebuild {
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Asks or tells, and prints how the mirror stands.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (method, path) = match &options.order {
        Order::Status => (Method::GET, "mirror"),
        Order::Pause => (Method::POST, "mirror/pause"),
        Order::Resume => (Method::POST, "mirror/resume"),
        Order::Rebuild { yes } => {
            confirm(*yes)?;
            (Method::POST, "mirror/rebuild")
        }
    };
    let mirror = runtime.block_on(options.api.ask(method, path))?;
    if mirror.is_null() {
        bail!("nothing follows the store of this server; start it with MIRROR_URL");
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&mirror)?);
    } else {
        println!("{}", table(&mirror));
    }
    let is_degraded = matches!(mirror["state"].as_str(), Some("failing" | "refused"));
    let asked = matches!(options.order, Order::Status);
    Ok(if asked && is_degraded { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn confirm(yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        bail!("a rebuild removes everything the mirror holds; say so with --yes");
    }
    eprint!("A rebuild removes everything the mirror holds and fills it anew. Go on? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if !matches!(answer.trim(), "y" | "Y" | "yes") {
        bail!("nothing was changed");
    }
    Ok(())
}

fn table(mirror: &Value) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY);
    let mut row = |name: &str, field: &str, unknown: &str| {
        let value = match &mirror[field] {
            Value::Null => unknown.to_owned(),
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        table.add_row([name, &value]);
    };
    row("mirror", "target", "–");
    row("state", "state", "–");
    row("records behind", "lag_records", "not known yet");
    row("seconds behind", "lag_seconds", "not known until it has caught up once");
    row("rows kept", "rows", "–");
    row("ticks kept", "ticks", "–");
    row("failures", "errors", "–");
    row("failing since", "failing_since", "–");
    row("last error", "last_error", "–");
    table
}
