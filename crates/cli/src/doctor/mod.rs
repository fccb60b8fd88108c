//! `tallybook doctor` and `tallybook optimize`.

mod mirror;
mod postgres;

use std::fmt;
use std::process::ExitCode;

use anyhow::Result;
use async_trait::async_trait;
use bytesize::ByteSize;
use clap::Parser;
use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use indicatif::ProgressBar;
use tallybook_backends::Backend;
use tallybook_doctor::{Options, Report, Severity, examine, examine_runs};

use crate::settings::Settings;

/// `tallybook doctor`.
#[derive(Parser)]
pub(crate) struct DoctorCommand {
    #[command(flatten)]
    settings: Settings,
    /// Read every page, segment and backup
    #[arg(long)]
    full: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `tallybook optimize`.
#[derive(Parser)]
pub(crate) struct OptimizeCommand {
    #[command(flatten)]
    settings: Settings,
}

/// The doctor of a server.
pub(crate) struct OfServer(pub(crate) Settings);

impl fmt::Debug for OfServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The settings hold passwords.
        f.debug_struct("OfServer").finish_non_exhaustive()
    }
}

#[async_trait]
impl tallybook_server::Doctor for OfServer {
    async fn examine(&self, full: bool) -> Report {
        look_at_store(&self.0, full).await
    }
}

/// Looks at the store and what belongs to it.
async fn look_at_store(settings: &Settings, full: bool) -> Report {
    let mut report = Report::default();
    match settings.store.use_db {
        Backend::Sqlite => {
            let options = Options {
                data_dir: settings.store.data_dir.clone(),
                backup_dir: settings.backups.folder(&settings.store.data_dir),
                backup_every: settings.backups.backup_every,
                full,
            };
            match tokio::task::spawn_blocking(move || examine(&options)).await {
                Ok(examined) => report = examined,
                Err(error) => {
                    let (meaning, fix) = ("nobody knows how it is", "report this, with the log of the server");
                    report.bad(Severity::Critical, "data folder", error.to_string(), meaning, fix);
                }
            }
        }
        Backend::Postgres => {
            postgres::look(settings, &mut report).await;
            examine_runs(&settings.store.data_dir, &mut report);
        }
        Backend::Memory => {
            let meaning = "nothing outlives the process";
            report.bad(Severity::Warning, "store", "USE_DB=memory", meaning, "USE_DB=sqlite tallybook serve");
        }
    }
    report
}

/// Looks at everything, says what is wrong, and ends with 0, 1 or 2.
pub(crate) fn run(command: &DoctorCommand) -> Result<ExitCode> {
    let settings = &command.settings;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut report = runtime.block_on(look_at_store(settings, command.full));
    runtime.block_on(mirror::look(settings, &mut report));
    look_at_settings(settings, &mut report);
    if command.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    Ok(match report.severity {
        Severity::Ok => ExitCode::SUCCESS,
        Severity::Warning => ExitCode::from(1),
        Severity::Critical => ExitCode::from(2),
    })
}

fn look_at_settings(settings: &Settings, report: &mut Report) {
    let addresses = [settings.network.otlp_grpc_addr, settings.network.otlp_http_addr, settings.network.api_addr];
    if addresses.iter().any(|address| !address.ip().is_loopback()) && settings.network.api_token.is_none() {
        let found = "an address can be reached from other machines, and there is no API_TOKEN";
        report.bad(Severity::Critical, "settings", found, "the server does not start", "set API_TOKEN");
    } else if settings.writing.telemetry_when_full == crate::settings::WhenFull::Shed {
        let meaning = "telemetry is dropped when the queue is full; it is counted as shed";
        report.bad(Severity::Warning, "settings", "TELEMETRY_WHEN_FULL=shed", meaning, "TELEMETRY_WHEN_FULL=block");
    } else {
        report.ok("settings", "closed to other machines, or with a token; nothing is dropped");
    }
}

fn print(report: &Report) {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none_or(|width| width < 40) {
        table.set_width(120);
    }
    table.set_header(["", "check", "found", "what it means, and what mends it"]);
    for finding in &report.findings {
        let mends = match (finding.meaning, &finding.fix) {
            (Some(meaning), Some(fix)) => format!("{meaning}\n-> {fix}"),
            _ => String::new(),
        };
        table.add_row([finding.severity.as_str(), finding.check, &finding.found, &mends]);
    }
    println!("{table}");
    let count = |severity| report.findings.iter().filter(|finding| finding.severity == severity).count();
    println!("{} critical, {} warnings", count(Severity::Critical), count(Severity::Warning));
}

/// Gives free pages back and empties logs.
pub(crate) fn optimize(command: &OptimizeCommand) -> Result<()> {
    command
        .settings
        .store
        .need_sqlite("tallybook optimize", "PostgreSQL does the same by itself, which `tallybook doctor` looks at")?;
    let bar = ProgressBar::new(0);
    let optimized = tallybook_doctor::optimize(&command.settings.store.data_dir, &mut |path, place, count| {
        bar.set_length(count as u64);
        bar.set_position(place as u64);
        bar.set_message(path.display().to_string());
    })?;
    bar.finish_and_clear();
    for one in optimized {
        println!("{}: {} before, {} now", one.path.display(), ByteSize(one.before_bytes), ByteSize(one.after_bytes));
    }
    Ok(())
}
