//! `tallybook`: keeps the operational record of a system.

mod api;
mod demo;
mod executions;
mod ping;
mod prune;
mod run;
mod seal;
mod serve;
mod settings;
mod store;
mod top;
mod with_store;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use comfy_table::{Table, presets::UTF8_BORDERS_ONLY};
use settings::{Resolved, Settings};

/// Keeps the operational record of a system: which telemetry it emits, and what of it explodes.
#[derive(Parser)]
#[command(name = "tallybook", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    /// The settings file; `./tallybook.toml` is read where it exists
    #[arg(long, global = true, env = "TALLYBOOK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  tallybook serve                        SQLite in ./data, OTLP on 4317 and 4318, the API on 8090
  tallybook serve --demo                 the same, with a shop of five services that feeds it
  USE_DB=memory tallybook serve          nothing outlives the process
  tallybook top                          the worst keys, metrics and templates, live
  tallybook ping example.com 1.1.1.1     whether hosts answer and how fast, live and recorded
  tallybook run -- make test             a command with its steps, lines and end, recorded
  tallybook seal --dry-run               which days of ticks would become Parquet files
  tallybook prune --dry-run              what is older than it should be
  tallybook config                       every setting, and where its value came from";

#[derive(Subcommand)]
enum Command {
    /// Receives OTLP, keeps the catalogue and answers the JSON API
    #[command(after_help = "Examples:
  tallybook serve
  tallybook serve --demo --use-db memory
  OTLP_HTTP_ADDR=0.0.0.0:4318 API_TOKEN=secret tallybook serve")]
    Serve {
        #[command(flatten)]
        settings: Settings,
        /// Feed itself the telemetry of a believable shop, over OTLP
        #[arg(long)]
        demo: bool,
    },
    /// Shows the worst keys, metrics and templates of a running server, live
    #[command(after_help = "Examples:
  tallybook top
  tallybook top --once --limit 20
  tallybook top --json | jq '.metrics[0]'")]
    Top(top::Options),
    /// Measures whether hosts answer and how fast, shows it live and records it
    #[command(after_help = "Examples:
  tallybook ping example.com 1.1.1.1
  tallybook ping db.internal --tcp 5432 --interval 500ms --count 20
  tallybook ping --http https://example.com/health --no-record
  tallybook ping example.com --json | jq .latency_ms
  tallybook ping example.com --server http://127.0.0.1:8090 --token secret

Exit code: 0 when every host answered at least once, else 1.")]
    Ping(Box<ping::Options>),
    /// Runs a command, passes its output through and records its steps, lines, artifacts and end
    #[command(after_help = "Examples:
  tallybook run -- make test
  tallybook run --name nightly --tag branch=main --timeout 2h -- ./backup.sh --full
  tallybook run --env-allow 'CI_*,HOME' -- ./deploy.sh
  tallybook run --server https://tallybook.example --token secret -- ./job
  tallybook run --deliver                what earlier runs could not deliver

Lines that the command prints and that begin so are steps, artifacts and facts:
  STEP_START:name [stop_on_error=true][duration=60] {k:v} --k=v
  STEP_COMPLETE:name, STEP_ERROR:text, ARTIFACT:path:description, META:key:value
  ::group::name, ::endgroup::, ::error::text, ::warning::text, ::add-mask::text

Exit code: that of the command, or 128 and the number of the signal that ended it; 127 when there is no such command, 126 when
it cannot be run, 125 when nothing was started for another reason.")]
    Run(Box<run::Options>),
    /// Lists what commands did, and shows one with its steps, lines and artifacts
    #[command(after_help = "Examples:
  tallybook executions --status failed
  tallybook executions show last
  tallybook executions logs last --follow
  tallybook executions logs 0199c0de-… --search error --verbose
  tallybook executions artifacts last --download out
  tallybook executions cancel last")]
    Executions(Box<executions::Options>),
    /// Turns old days of ticks into compressed Parquet files, which answer every question as before
    #[command(after_help = "Examples:
  tallybook seal --dry-run
  tallybook seal --older-than 3d
  tallybook seal --day 2026-11-01

A running server does this by itself; stop it first where it holds the data folder.")]
    Seal(Box<seal::SealOptions>),
    /// Turns a sealed day of ticks back into a database
    #[command(after_help = "Examples:
  tallybook unseal 2026-11-01")]
    Unseal(Box<seal::UnsealOptions>),
    /// Removes what is older than the settings `KEEP_…` say
    #[command(after_help = "Examples:
  tallybook prune --dry-run
  KEEP_TICKS=90d tallybook prune --dry-run --json

A running server does this by itself every hour, and answers GET /api/v1/retention with what comes next.")]
    Prune(Box<prune::Options>),
    /// Prints every setting and where its value came from
    #[command(after_help = "Examples:
  tallybook config
  USE_DB=memory tallybook config --json")]
    Config {
        #[command(flatten)]
        settings: Settings,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => match error.downcast::<clap::Error>() {
            Ok(usage) => match usage.kind() {
                ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
                    eprintln!("tallybook: {}", one_line(&usage));
                    ExitCode::FAILURE
                }
                _ => usage.exit(),
            },
            Err(error) => {
                eprintln!("tallybook: {error:#}");
                ExitCode::FAILURE
            }
        },
    }
}

/// What clap says about a bad value, without its heading and its pointer to the help: a bad value in the environment is
/// no question of usage.
fn one_line(bad_value: &clap::Error) -> String {
    let text = bad_value.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("For more information"));
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

fn run() -> Result<ExitCode> {
    // The file is named on the command line and gives the defaults of the rest of it: hence two parses.
    let file = Cli::try_parse()?.config;
    let command = Cli::command()
        .mut_subcommand("ping", with_short_help)
        .mut_subcommand("run", with_short_help)
        .mut_subcommand("executions", with_short_help);
    let matches = settings::with_file(
        command,
        file.as_deref(),
        &["serve", "ping", "run", "executions", "seal", "unseal", "prune", "config"],
    )?
    .try_get_matches()?;
    let cli = Cli::from_arg_matches(&matches)?;
    match cli.command {
        Command::Serve { settings, demo } => serve::run(&settings, demo)?,
        Command::Top(options) => top::run(&options)?,
        Command::Ping(options) => return ping::run(&options),
        Command::Run(options) => return run::run(&options),
        Command::Executions(options) => return executions::run(&options),
        Command::Seal(options) => seal::seal(&options)?,
        Command::Unseal(options) => seal::unseal(&options)?,
        Command::Prune(options) => prune::run(&options)?,
        Command::Config { json, .. } => {
            let (_, matches) = matches.subcommand().expect("clap requires a subcommand");
            print_settings(&settings::resolve(matches, file.as_deref())?, json)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A command with the settings that do not say where to record out of its help; they hold all the same.
fn with_short_help(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| {
        let shown = matches!(arg.get_help_heading(), None | Some("Store"));
        arg.hide(!shown)
    })
}

fn print_settings(settings: &[Resolved], json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(settings)?);
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY).set_header(["setting", "value", "from"]);
    for setting in settings {
        table.add_row([&setting.name, setting.value.as_deref().unwrap_or("–"), &setting.source]);
    }
    println!("{table}");
    Ok(())
}
