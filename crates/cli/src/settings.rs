//! The settings: flags, environment, `tallybook.toml` and defaults, in this order, all checked by one parser.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use bytesize::ByteSize;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, ValueEnum};
use tallybook_backends::{Backend, Place};

use crate::backup::BackupSettings;
use crate::commands;

/// The file that is read when no other is named.
pub(crate) const DEFAULT_FILE: &str = "tallybook.toml";

/// Everything `serve` can be told. The name of a setting in the environment is its flag in capitals; in
/// `tallybook.toml` it is its flag with `_` for `-`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// The primary store: sqlite, postgres or memory
    #[arg(long, env = "USE_DB", default_value = "sqlite", value_name = "BACKEND", help_heading = "Store")]
    pub(crate) use_db: Backend,
    /// The folder of everything that is kept in files
    #[arg(long, env = "DATA_DIR", default_value = "./data", value_name = "DIR", help_heading = "Store")]
    pub(crate) data_dir: PathBuf,
    /// The database of `postgres`, as postgres://user:password@host:port/database?sslmode=…
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL", help_heading = "Store")]
    pub(crate) database_url: Option<String>,

    /// What follows the store: clickhouse://user:password@host:8123/database, duckdb:///FILE, postgres://… or sqlite:DIR
    #[arg(long, env = "MIRROR_URL", hide_env_values = true, value_name = "URL", help_heading = "Store")]
    pub(crate) mirror_url: Option<Place>,

    /// Where OTLP/gRPC is received
    #[arg(
        long,
        env = "OTLP_GRPC_ADDR",
        default_value = "127.0.0.1:4317",
        value_name = "ADDR",
        help_heading = "Network"
    )]
    pub(crate) otlp_grpc_addr: SocketAddr,
    /// Where OTLP/HTTP is received
    #[arg(
        long,
        env = "OTLP_HTTP_ADDR",
        default_value = "127.0.0.1:4318",
        value_name = "ADDR",
        help_heading = "Network"
    )]
    pub(crate) otlp_http_addr: SocketAddr,
    /// Where the JSON API answers
    #[arg(long, env = "API_ADDR", default_value = "127.0.0.1:8090", value_name = "ADDR", help_heading = "Network")]
    pub(crate) api_addr: SocketAddr,
    /// The bearer token that every request must carry; needed where an address is not loopback
    #[arg(long, env = "API_TOKEN", hide_env_values = true, value_name = "TOKEN", help_heading = "Network")]
    pub(crate) api_token: Option<String>,
    /// The largest OTLP request as it arrives
    #[arg(long, env = "OTLP_MAX_BODY", default_value = "64MiB", value_name = "BYTES", help_heading = "Network")]
    pub(crate) otlp_max_body: ByteSize,
    /// The largest OTLP request after decompression
    #[arg(
        long,
        env = "OTLP_MAX_DECOMPRESSED",
        default_value = "64MiB",
        value_name = "BYTES",
        help_heading = "Network"
    )]
    pub(crate) otlp_max_decompressed: ByteSize,

    /// When an OTLP request is answered: once queued, written or durable
    #[arg(long, env = "TELEMETRY_ACK", default_value = "written", value_name = "LEVEL", help_heading = "Writing")]
    pub(crate) telemetry_ack: AckLevel,
    /// What a full queue does to telemetry: block (the client is told to retry) or shed (counted and said)
    #[arg(long, env = "TELEMETRY_WHEN_FULL", default_value = "block", value_name = "POLICY", help_heading = "Writing")]
    pub(crate) telemetry_when_full: WhenFull,
    /// When events of executions are answered: once queued, written or durable
    #[arg(long, env = "EXECUTION_ACK", default_value = "durable", value_name = "LEVEL", help_heading = "Writing")]
    pub(crate) execution_ack: AckLevel,
    /// How long a request waits for room in a full queue
    #[arg(long, env = "QUEUE_MAX_WAIT", default_value = "5s", value_name = "TIME", value_parser = humantime::parse_duration, help_heading = "Writing")]
    pub(crate) queue_max_wait: Duration,
    /// How long a stop may take to write what is queued
    #[arg(long, env = "STOP_MAX_WAIT", default_value = "30s", value_name = "TIME", value_parser = humantime::parse_duration, help_heading = "Writing")]
    pub(crate) stop_max_wait: Duration,

    /// Services that are told apart; more are counted as `<overflow>`
    #[arg(long, env = "MAX_SERVICES", default_value_t = 1_000, value_name = "N", help_heading = "Catalogue")]
    pub(crate) max_services: usize,
    /// Metric names of a service that are told apart
    #[arg(
        long,
        env = "MAX_METRICS_PER_SERVICE",
        default_value_t = 100_000,
        value_name = "N",
        help_heading = "Catalogue"
    )]
    pub(crate) max_metrics_per_service: usize,
    /// Span names of a service that are told apart
    #[arg(long, env = "MAX_SPANS_PER_SERVICE", default_value_t = 20_000, value_name = "N", help_heading = "Catalogue")]
    pub(crate) max_spans_per_service: usize,
    /// Attribute keys that are told apart, over everything
    #[arg(long, env = "MAX_KEYS", default_value_t = 1_000_000, value_name = "N", help_heading = "Catalogue")]
    pub(crate) max_keys: usize,
    /// Log templates of a service and severity that are told apart
    #[arg(long, env = "MAX_TEMPLATES", default_value_t = 1_000, value_name = "N", help_heading = "Catalogue")]
    pub(crate) max_templates: usize,
    /// Whether one example body is kept for each log template
    #[arg(long, env = "KEEP_EXAMPLES", default_value_t = true, value_name = "BOOL", action = clap::ArgAction::Set, help_heading = "Catalogue")]
    pub(crate) keep_examples: bool,
    /// How long hourly buckets are kept
    #[arg(long, env = "KEEP_HOURS", default_value = "7d", value_name = "TIME", value_parser = humantime::parse_duration, help_heading = "Catalogue")]
    pub(crate) keep_hours: Duration,
    /// How long daily buckets are kept
    #[arg(long, env = "KEEP_DAYS", default_value = "400d", value_name = "TIME", value_parser = humantime::parse_duration, help_heading = "Catalogue")]
    pub(crate) keep_days: Duration,
    /// How long single pings are kept; they leave by whole days
    #[arg(long, env = "KEEP_PINGS", default_value = "30d", value_name = "TIME", value_parser = humantime::parse_duration, help_heading = "Pings and ticks")]
    pub(crate) keep_pings: Duration,
    /// When a request of pings is answered: once queued, written or durable
    #[arg(long, env = "PING_ACK", default_value = "written", value_name = "LEVEL", help_heading = "Pings and ticks")]
    pub(crate) ping_ack: AckLevel,
    /// What a full queue does to pings: block or shed
    #[arg(
        long,
        env = "PING_WHEN_FULL",
        default_value = "block",
        value_name = "POLICY",
        help_heading = "Pings and ticks"
    )]
    pub(crate) ping_when_full: WhenFull,
    /// When a request of ticks is answered: once queued, written or durable
    #[arg(long, env = "TICK_ACK", default_value = "written", value_name = "LEVEL", help_heading = "Pings and ticks")]
    pub(crate) tick_ack: AckLevel,
    /// What a full queue does to ticks: block or shed
    #[arg(
        long,
        env = "TICK_WHEN_FULL",
        default_value = "block",
        value_name = "POLICY",
        help_heading = "Pings and ticks"
    )]
    pub(crate) tick_when_full: WhenFull,
    /// The latest ticks of each symbol that are kept in memory
    #[arg(long, env = "TICK_RING", default_value_t = 10_000, value_name = "N", help_heading = "Pings and ticks")]
    pub(crate) tick_ring: usize,
    /// Whether a tick is dropped, and counted, whose bid, ask, volume and source are those of the one before it
    #[arg(long, env = "DROP_IDENTICAL_TICKS", default_value_t = false, value_name = "BOOL", action = clap::ArgAction::Set, help_heading = "Pings and ticks")]
    pub(crate) drop_identical_ticks: bool,
    /// How long sums of pings by minute are kept
    #[arg(long, env = "KEEP_PING_MINUTES", default_value = "90d", value_name = "TIME", value_parser = humantime::parse_duration, help_heading = "Pings and ticks")]
    pub(crate) keep_ping_minutes: Duration,
    /// How long sums of pings by hour are kept; those by day stay
    #[arg(long, env = "KEEP_PING_HOURS", default_value = "365d", value_name = "TIME", value_parser = humantime::parse_duration, help_heading = "Pings and ticks")]
    pub(crate) keep_ping_hours: Duration,
    /// How long ticks are kept, by whole days; without it, for ever
    #[arg(long, env = "KEEP_TICKS", value_name = "TIME", value_parser = humantime::parse_duration, help_heading = "Pings and ticks")]
    pub(crate) keep_ticks: Option<Duration>,
    /// The age at which a day of ticks becomes a Parquet file, where the store can do that
    #[arg(long, env = "SEAL_TICKS_AFTER", default_value = "7d", value_name = "TIME", value_parser = humantime::parse_duration, help_heading = "Pings and ticks")]
    pub(crate) seal_ticks_after: Duration,
    /// A folder that gets each tick a second time, in a JSON file a UTC day, for a consumer that still reads those
    #[arg(long, env = "DUAL_JSON_DIR", value_name = "DIR", help_heading = "Pings and ticks")]
    pub(crate) dual_json_dir: Option<PathBuf>,
    /// What these files are: json (an array) or ndjson (an object a line)
    #[arg(
        long,
        env = "DUAL_JSON_FORMAT",
        default_value = "json",
        value_name = "FORMAT",
        help_heading = "Pings and ticks"
    )]
    pub(crate) dual_json_format: DualFormat,
    /// What these files say as broker_id
    #[arg(
        long,
        env = "DUAL_JSON_BROKER_ID",
        default_value = "tallybook",
        value_name = "ID",
        help_heading = "Pings and ticks"
    )]
    pub(crate) dual_json_broker_id: String,

    /// How long executions are kept that have ended, with their steps, logs and artifacts
    #[arg(long, env = "KEEP_EXECUTIONS", default_value = "90d", value_name = "TIME", value_parser = humantime::parse_duration, help_heading = "Executions")]
    pub(crate) keep_executions: Duration,

    /// Commands started over HTTP that run at the same time; see `[commands.NAME]` in docs/settings.md
    #[arg(long, env = "MAX_COMMANDS", default_value_t = 4, value_name = "N", help_heading = "Commands")]
    pub(crate) max_commands: usize,

    #[command(flatten)]
    pub(crate) backups: BackupSettings,
}

/// What daily files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DualFormat {
    /// One array.
    Json,
    /// An object a line.
    Ndjson,
}

/// When a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AckLevel {
    /// In the queue.
    Queued,
    /// Committed.
    Written,
    /// On disk.
    Durable,
}

/// What a full queue does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WhenFull {
    /// The client waits, then is told to retry.
    Block,
    /// The records are dropped, counted, and the reply says so.
    Shed,
}

impl From<AckLevel> for tallybook_writer::AckLevel {
    fn from(level: AckLevel) -> Self {
        match level {
            AckLevel::Queued => Self::Queued,
            AckLevel::Written => Self::Written,
            AckLevel::Durable => Self::Durable,
        }
    }
}

/// One setting as it came out.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Resolved {
    /// Its name in the file.
    pub(crate) name: String,
    /// Its value; secrets are stars.
    pub(crate) value: Option<String>,
    /// Where the value came from.
    pub(crate) source: String,
}

/// Parses the command line of `command` with the values of the settings file as defaults of the subcommands in `names`.
///
/// # Errors
/// One sentence that names the file and the key.
pub(crate) fn with_file(mut command: Command, file: Option<&Path>, names: &[&str]) -> Result<Command> {
    let mut values = read_file(file)?;
    // Tables, and no setting that a flag could say.
    values.remove(commands::SECTION);
    let known = known_settings();
    let shown = file.unwrap_or(Path::new(DEFAULT_FILE)).display();
    for key in values.keys() {
        if !known.iter().any(|arg| arg.get_id().as_str() == key) {
            let names: Vec<&str> = known.iter().map(|arg| arg.get_id().as_str()).collect();
            bail!("{shown}: there is no setting `{key}`; there are: {}", names.join(", "));
        }
    }
    for (key, value) in values {
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(_) | toml::Value::Boolean(_) | toml::Value::Float(_) => value.to_string(),
            _ => bail!("{shown}: `{key}` must be a text, a number or true/false"),
        };
        for name in names {
            command = command.mut_subcommand(*name, |subcommand| {
                subcommand.mut_arg(key.clone(), |arg| arg.default_value(value.clone()))
            });
        }
    }
    Ok(command)
}

/// All of the settings file; nothing where there is none.
///
/// # Errors
/// One sentence when it cannot be read.
pub(crate) fn read_file(file: Option<&Path>) -> Result<toml::Table> {
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    match std::fs::read_to_string(path) {
        Ok(text) => text.parse().map_err(|error| anyhow!("{} is not valid TOML: {error}", path.display())),
        Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(toml::Table::new()),
        Err(error) => Err(error).with_context(|| format!("the settings file {} cannot be read", path.display())),
    }
}

fn known_settings() -> Vec<Arg> {
    Settings::augment_args(Command::new("settings")).get_arguments().cloned().collect()
}

/// The variables of the environment whose values are secret: those whose values no help shows.
pub(crate) fn secret_variables() -> Vec<OsString> {
    let settings = known_settings();
    let secret = settings.iter().filter(|arg| arg.is_hide_env_values_set());
    secret.filter_map(|arg| arg.get_env().map(ToOwned::to_owned)).collect()
}

/// Every setting as `matches` has it, and where it came from.
///
/// # Errors
/// When the settings file cannot be read.
pub(crate) fn resolve(matches: &ArgMatches, file: Option<&Path>) -> Result<Vec<Resolved>> {
    let in_file = read_file(file)?;
    let commands = commands::read(file)?;
    let file = file.unwrap_or(Path::new(DEFAULT_FILE)).display().to_string();
    let known = known_settings();
    let resolved = known.iter().map(|arg| {
        let id = arg.get_id().as_str();
        let environment = arg.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let source = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => format!("--{}", arg.get_long().unwrap_or(id)),
            Some(ValueSource::EnvVariable) => environment,
            Some(ValueSource::DefaultValue) if in_file.contains_key(id) => file.clone(),
            _ => "default".to_owned(),
        };
        let raw =
            matches.get_raw(id).and_then(|mut values| values.next()).map(|value| value.to_string_lossy().into_owned());
        let value = if arg.is_hide_env_values_set() { raw.map(|_| "********".to_owned()) } else { raw };
        Resolved { name: id.to_owned(), value, source }
    });
    let commands = commands.iter().map(|(name, command)| Resolved {
        name: format!("{}.{name}", commands::SECTION),
        value: command.program().map(ToOwned::to_owned),
        source: file.clone(),
    });
    Ok(resolved.chain(commands).collect())
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;

    fn parse(file: &str, arguments: &[&str]) -> Result<(Settings, Vec<Resolved>)> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("settings.toml");
        std::fs::write(&path, file)?;
        let command = Command::new("tallybook").subcommand(Settings::augment_args(Command::new("serve")));
        let command = with_file(command, Some(&path), &["serve"])?;
        let matches = command.try_get_matches_from(["tallybook", "serve"].iter().chain(arguments))?;
        let matches = matches.subcommand().expect("serve").1;
        Ok((Settings::from_arg_matches(matches)?, resolve(matches, Some(&path))?))
    }

    fn source_of(resolved: &[Resolved], name: &str) -> String {
        let setting = resolved.iter().find(|setting| setting.name == name).expect("a known setting");
        setting.source.rsplit('/').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() -> Result<()> {
        let (settings, resolved) = parse("use_db = \"memory\"\nmax_services = 5", &["--max-services", "7"])?;
        assert_eq!(settings.use_db, Backend::Memory);
        assert_eq!(settings.max_services, 7);
        assert_eq!(source_of(&resolved, "use_db"), "settings.toml");
        assert_eq!(source_of(&resolved, "max_services"), "--max-services");
        assert_eq!(source_of(&resolved, "data_dir"), "default");
        Ok(())
    }

    #[test]
    fn an_unknown_key_and_a_bad_value_in_the_file_are_one_sentence() {
        let unknown = parse("use_database = 1", &[]).expect_err("unknown key").to_string();
        assert!(unknown.contains("there is no setting `use_database`"), "{unknown}");
        let bad = parse("use_db = \"mongo\"", &[]).expect_err("bad value").to_string();
        assert!(bad.contains("there is no backend `mongo`; there are: sqlite, postgres, memory"), "{bad}");
        let kind = parse("use_db = [1]", &[]).expect_err("a list").to_string();
        assert!(kind.contains("`use_db` must be a text"), "{kind}");
    }

    #[test]
    fn secrets_are_never_shown() -> Result<()> {
        let (settings, resolved) = parse("api_token = \"hunter2\"", &[])?;
        assert_eq!(settings.api_token.as_deref(), Some("hunter2"));
        assert!(!format!("{resolved:?}").contains("hunter2"));
        assert_eq!(secret_variables(), ["DATABASE_URL", "MIRROR_URL", "API_TOKEN"]);
        Ok(())
    }
}
