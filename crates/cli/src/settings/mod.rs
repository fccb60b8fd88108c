//! The settings: flags, environment, `tallybook.toml` and defaults, in this order, all checked by one parser.

mod groups;

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command};

pub(crate) use self::groups::{AckLevel, DualFormat, WhenFull};
use self::groups::{
    CatalogueSettings, ExecutionSettings, NetworkSettings, SeriesSettings, StoreSettings, WritingSettings,
};
use crate::backup::BackupSettings;
use crate::commands;

/// The file that is read when no other is named.
pub(crate) const DEFAULT_FILE: &str = "tallybook.toml";

/// Everything `serve` can be told. The name of a setting in the environment is its flag in capitals; in
/// `tallybook.toml` it is its flag with `_` for `-`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    #[command(flatten)]
    pub(crate) store: StoreSettings,
    #[command(flatten)]
    pub(crate) network: NetworkSettings,
    #[command(flatten)]
    pub(crate) writing: WritingSettings,
    #[command(flatten)]
    pub(crate) catalogue: CatalogueSettings,
    #[command(flatten)]
    pub(crate) series: SeriesSettings,
    #[command(flatten)]
    pub(crate) executions: ExecutionSettings,
    #[command(flatten)]
    pub(crate) backups: BackupSettings,
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

/// Whether a command takes the settings.
pub(crate) fn are_taken_by(command: &Command) -> bool {
    command.get_arguments().any(|arg| arg.get_id() == "use_db")
}

/// The command line of `command` with the values of the settings file as defaults of the subcommands that take settings; `None`
/// where there are no values.
///
/// # Errors
/// One sentence that names the file and the key.
pub(crate) fn with_file(command: impl FnOnce() -> Command, file: Option<&Path>) -> Result<Option<Command>> {
    let mut values = read_file(file)?;
    // Tables, and no setting that a flag could say.
    values.remove(commands::SECTION);
    if values.is_empty() {
        return Ok(None);
    }
    let known = known_settings();
    let shown = file.unwrap_or(Path::new(DEFAULT_FILE)).display();
    for key in values.keys() {
        if !known.iter().any(|arg| arg.get_id().as_str() == key) {
            let names: Vec<&str> = known.iter().map(|arg| arg.get_id().as_str()).collect();
            bail!("{shown}: there is no setting `{key}`; there are: {}", names.join(", "));
        }
    }
    let mut command = command();
    for (key, value) in values {
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(_) | toml::Value::Boolean(_) | toml::Value::Float(_) => value.to_string(),
            _ => bail!("{shown}: `{key}` must be a text, a number or true/false"),
        };
        command = command.mut_subcommands(|subcommand| {
            if are_taken_by(&subcommand) {
                subcommand.mut_arg(key.clone(), |arg| arg.default_value(value.clone()))
            } else {
                subcommand
            }
        });
    }
    Ok(Some(command))
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

/// The variables of the environment whose values are secret: those whose values no help shows, and the keys of the place that
/// backups are sent to.
pub(crate) fn secret_variables() -> Vec<OsString> {
    let settings = known_settings();
    let secret = settings.iter().filter(|arg| arg.is_hide_env_values_set());
    let secret = secret.filter_map(|arg| arg.get_env().map(ToOwned::to_owned));
    secret.chain(tallybook_backup::Remote::SECRETS.map(OsString::from)).collect()
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
    use tallybook_backends::Backend;

    use super::*;

    fn parse(file: &str, arguments: &[&str]) -> Result<(Settings, Vec<Resolved>)> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("settings.toml");
        std::fs::write(&path, file)?;
        let command = || Command::new("tallybook").subcommand(Settings::augment_args(Command::new("serve")));
        let command = with_file(command, Some(&path))?.expect("the file has values");
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
        assert_eq!(settings.store.use_db, Backend::Memory);
        assert_eq!(settings.catalogue.max_services, 7);
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
        assert_eq!(settings.network.api_token.as_deref(), Some("hunter2"));
        assert!(!format!("{resolved:?}").contains("hunter2"));
        assert_eq!(secret_variables()[..3], ["DATABASE_URL", "MIRROR_URL", "API_TOKEN"]);
        Ok(())
    }
}
