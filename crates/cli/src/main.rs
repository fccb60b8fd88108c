//! `tallybook`: keeps the operational record of a system.

mod answer;
mod api;
mod backup;
mod commands;
mod compare;
mod demo;
mod doctor;
mod exchange;
mod executions;
mod migrate;
mod mirror;
mod ping;
mod place;
mod prune;
mod query;
mod remote;
mod run;
mod running;
mod seal;
mod serve;
mod settings;
mod sql;
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
  tallybook backup                       everything in ./data, beside a running server as well
  tallybook import ticks feed.csv.gz     files into the store; export is the way back, verify compares
  tallybook run -- make test             a command with its steps, lines and end, recorded
  tallybook seal --dry-run               which days of ticks would become Parquet files
  tallybook prune --dry-run              what is older than it should be
  tallybook doctor                       what is wrong with the data folder, and what mends it
  tallybook migrate --from sqlite:./data --to postgres://host/db
                                         everything into another store; `verify` then compares both
  tallybook mirror status                what follows the store, and how far behind it is
  tallybook query 'SELECT ...'           analysis over the DuckDB mirror and sealed days of ticks
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
    /// Brings ticks or pings from files into the store, or to the server that holds it
    #[command(after_help = "Examples:
  tallybook import ticks feed.csv feed.json.gz daily/ticks_2026-11-01.db
  tallybook import ticks recordings/                    every file below the folder, in the order of their names
  tallybook import ticks feed.ndjson --dry-run          read and check, store nothing
  tallybook import ticks feed.csv --server http://127.0.0.1:8090 --token secret
  tallybook import pings pings.csv --json | jq .stored

A feed that does not number its ticks may hold several of the same symbol and time: all are stored, in their order. The same
file imported again changes nothing; one that was cut off goes on where it was. A line that is no record is kept as a dead
letter with its file and number.

Exit code: 0 when everything is stored or was there, 1 when something was rejected or a file breaks off.")]
    Import(Box<exchange::import::Options>),
    /// Writes ticks or pings of the store into files
    #[command(after_help = "Examples:
  tallybook export ticks --symbol EURUSD --since 2026-11-01 --until 2026-12-01 > november.csv
  tallybook export ticks --to ticks.parquet
  tallybook export ticks --to archive/ --format ndjson --compress zst      a file for each UTC day
  tallybook export ticks --to daily/ --format feed                         JSON as recorders of price feeds write it
  tallybook export ticks --to daily/ --format sqlite                       plain SQLite files
  tallybook export pings --target db.example --to pings.csv.gz

A folder that is exported to again gets what is missing: days whose file was written after they ended are passed over.")]
    Export(Box<exchange::export::Options>),
    /// Compares files with the store: counts, first, last and checksums per symbol and day
    #[command(after_help = "Examples:
  tallybook verify feed.csv.gz
  tallybook verify daily/ --since 2026-11-01 --until 2026-12-01
  tallybook verify old/ticks_2026-11-01.db --symbol EURUSD --json
  tallybook verify pings.csv --family pings
  tallybook verify --from sqlite:./data --to postgres://db/tallybook
  tallybook verify --from postgres://db/tallybook --to clickhouse://mirror:8123/tallybook --json

Only days that the files have are compared.

Exit code: 0 when both hold the same, 1 when they differ, 2 when it could not be found out.")]
    Verify(Box<exchange::verify::Options>),
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
    /// Backs up everything in the data folder, whether or not a server works in it
    #[command(after_help = "Examples:
  tallybook backup
  tallybook backup --backup-dir /mnt/backups --backup-compress true
  tallybook backup --json | jq -r .path

Each backup is verified before it has its name. Files that did not change share their space with the backup before.")]
    Backup(Box<backup::TakeCommand>),
    /// Lists the backups there are
    #[command(after_help = "Examples:
  tallybook backups
  tallybook backups --verify

Exit code: 0 when every backup can be read, else 1.")]
    Backups(Box<backup::ListCommand>),
    /// Puts a backup back into a folder that is empty, after it was verified
    #[command(after_help = "Examples:
  tallybook restore --to ./restored
  tallybook restore --at 2026-11-26T12:00:00Z
  tallybook restore backup_20261126_120000 --to ./restored

It overwrites nothing: where the data folder has data, move it away first, or name another folder with --to.")]
    Restore(Box<backup::RestoreCommand>),
    /// Asks Tallybook's own database one question in SQL, beside a running server as well; it can only read
    #[command(after_help = "Examples:
  tallybook sql 'SELECT name, spans FROM service ORDER BY spans DESC LIMIT 5'
  tallybook sql --json 'SELECT * FROM template WHERE count > ?' --param 1000 | jq .template
  echo 'SELECT count(*) FROM metric' | tallybook sql --csv -")]
    Sql(Box<sql::SqlCommand>),
    /// Asks the DuckDB mirror and the sealed days of ticks in SQL, beside a running server as well; it can only read
    #[command(after_help = "Examples:
  tallybook query 'FROM service'
  tallybook query \"SELECT target, quantile_cont(latency / 1e6, [0.5, 0.95, 0.99]) AS ms FROM ping WHERE success = 1 GROUP BY target\"
  tallybook query --json 'SELECT day, symbol, count(*) AS ticks FROM sealed_ticks GROUP BY ALL' | jq .ticks
  tallybook query --file mirror.duckdb --csv 'SELECT * FROM execution WHERE status = ?' --param failed
  tallybook query --export archive/        everything as Parquet: archive/TABLE/day=YYYY-MM-DD/

`SHOW TABLES` lists what there is. `sealed_ticks` are the Parquet files of DATA_DIR; the rest is the mirror of MIRROR_URL or --file.
docs/duckdb.md has questions for dashboards. Other programs can read the file as well: duckdb -readonly FILE.")]
    Query(Box<query::QueryCommand>),
    /// Looks at the data folder, the disk and the backups, and says what is wrong and what mends it
    #[command(after_help = "Examples:
  tallybook doctor
  tallybook doctor --full
  tallybook doctor --json | jq '.findings[] | select(.severity != \"ok\")'

It changes nothing and works beside a running server.
Exit code: 0 when all is well, 1 with warnings, 2 when something is critical.")]
    Doctor(Box<doctor::DoctorCommand>),
    /// Gives free space of the databases back to the disk, with the server stopped
    #[command(after_help = "Examples:
  tallybook optimize

A running server does this by itself when it is idle.")]
    Optimize(Box<doctor::OptimizeCommand>),
    /// Moves everything from one store to another; run again, it goes on where it was
    #[command(after_help = "Examples:
  tallybook migrate --from sqlite:./data --to postgres://tallybook:secret@db:5432/tallybook
  tallybook migrate --from postgres://db/tallybook --to sqlite:/var/lib/tallybook --verify

A data folder belongs to the server that has it open. To move without a stop, start that server with MIRROR_URL set to the
new place: it fills it and keeps it up to date. docs/migrating.md tells how to switch with no lost second.")]
    Migrate(migrate::Options),
    /// Shows what follows the store of a running server, and gives it orders
    #[command(after_help = "Examples:
  tallybook mirror status
  tallybook mirror status --json | jq .lag_seconds
  tallybook mirror pause
  tallybook mirror rebuild --yes

Exit code of `status`: 0 while it follows, 1 where it fails or must be rebuilt.")]
    Mirror(mirror::Options),
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

/// What a shell says of a program that wrote to nobody: 128 and the number of SIGPIPE.
const NOBODY_READS: i32 = 141;

/// `println!` can only panic when whoever read the output has gone, which is no fault: the rest of it is wanted by nobody.
fn end_quietly_when_nobody_reads() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let said = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        if said.starts_with("failed printing to stdout") && said.contains("Broken pipe") {
            std::process::exit(NOBODY_READS);
        }
        report(panic);
    }));
}

fn main() -> ExitCode {
    end_quietly_when_nobody_reads();
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
    let mut matches = match Cli::command().try_get_matches() {
        // To describe it takes longer than many a command does.
        Err(error) if error.kind() == ErrorKind::DisplayHelp => described().try_get_matches(),
        parsed => parsed,
    }?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    let file = cli.config.take();
    // The command line may name the file that gives the defaults of the rest of it.
    if let Some(command) = settings::with_file(Cli::command, file.as_deref())? {
        matches = command.try_get_matches()?;
        cli = Cli::from_arg_matches(&matches)?;
    }
    match cli.command {
        Command::Serve { settings, demo } => serve::run(&settings, file.as_deref(), demo)?,
        Command::Top(options) => top::run(&options)?,
        Command::Ping(options) => return ping::run(&options),
        Command::Import(options) => return exchange::import::run(&options),
        Command::Export(options) => return exchange::export::run(&options),
        Command::Verify(options) => return Ok(exchange::verify::run(&options)),
        Command::Run(options) => return run::run(&options),
        Command::Executions(options) => return executions::run(&options),
        Command::Seal(options) => seal::seal(&options)?,
        Command::Unseal(options) => seal::unseal(&options)?,
        Command::Prune(options) => prune::run(&options)?,
        Command::Backup(command) => backup::take(&command)?,
        Command::Backups(command) => backup::list(&command)?,
        Command::Restore(command) => backup::restore(&command)?,
        Command::Sql(command) => sql::run(&command)?,
        Command::Query(command) => query::run(&command)?,
        Command::Doctor(command) => return doctor::run(&command),
        Command::Optimize(command) => doctor::optimize(&command)?,
        Command::Migrate(options) => migrate::run(&options)?,
        Command::Mirror(options) => return mirror::run(&options),
        Command::Config { json, .. } => {
            let (_, matches) = matches.subcommand().expect("clap requires a subcommand");
            print_settings(&settings::resolve(matches, file.as_deref())?, json)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The command line for people, with what is of no use to a command out of its help.
fn described() -> clap::Command {
    Cli::command().mut_subcommands(|command| match settings_shown(command.get_name()) {
        Some(groups) if settings::are_taken_by(&command) => with_short_help(command, groups),
        _ => command,
    })
}

/// The groups of settings that the help of a command shows; `None` for all of them.
fn settings_shown(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "serve" | "config" => return None,
        "seal" => &["Store", "Pings and ticks"],
        "prune" => &["Store", "Catalogue", "Pings and ticks", "Executions"],
        "backup" | "backups" | "restore" => &["Store", "Backups"],
        "doctor" => &["Store", "Network", "Backups"],
        _ => &["Store"],
    })
}

fn with_short_help(command: clap::Command, groups: &[&str]) -> clap::Command {
    let examples = command.get_after_help().cloned().unwrap_or_default();
    let command = command.after_help(format!("{examples}\n\nThe other settings hold as well: tallybook serve --help"));
    command.mut_args(|arg| {
        let shown = arg.get_help_heading().is_none_or(|group| groups.contains(&group));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_takes_settings_shows_those_that_matter_to_it() {
        for command in described().get_subcommands() {
            let name = command.get_name();
            let takes_settings = !["top", "migrate", "mirror", "help"].contains(&name);
            let shows = |id| command.get_arguments().any(|arg| arg.get_id() == id && !arg.is_hide_set());
            assert_eq!(shows("data_dir"), takes_settings, "{name}");
            assert_eq!(shows("max_services"), ["serve", "config", "prune"].contains(&name), "{name}");
        }
    }
}
