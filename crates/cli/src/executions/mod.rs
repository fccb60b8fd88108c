//! `tallybook executions`: what runs did, read from wherever they are recorded.

mod view;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;
use tallybook_runner::Spool;

use crate::api::Api;
use crate::settings::Settings;

/// Lines of a page.
const PAGE_LINES: usize = 5_000;
/// The time between two looks for lines that come.
const LOOK: Duration = Duration::from_millis(250);

/// Which executions are shown, and what of them.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: ListOptions,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct ListOptions {
    /// Only those of this name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Only those with this status: pending, running, completed, failed, cancelled, timed_out or interrupted
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Only those with this tag
    #[arg(long, value_name = "KEY=VALUE")]
    tag: Option<String>,
    /// The newest so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
}

/// Where executions are recorded.
#[derive(Args)]
struct Place {
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    /// Ask the server at this address, and not the store of the settings
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    /// The server's token
    #[arg(long, global = true, env = "API_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Subcommand)]
enum Command {
    /// Shows one execution with its steps
    Show {
        /// Its id, or `last`
        id: String,
    },
    /// Prints the lines of an execution
    Logs {
        /// Its id, or `last`
        id: String,
        /// Go on until it has ended
        #[arg(long, short)]
        follow: bool,
        /// Begin with this line
        #[arg(long, value_name = "LINE")]
        since: Option<u64>,
        /// Only the lines of this step, by its number
        #[arg(long, value_name = "N")]
        step: Option<u64>,
        /// Only lines that contain this
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        /// Without colours
        #[arg(long)]
        plain: bool,
        /// With the time, the stream and the number before each line
        #[arg(long, short)]
        verbose: bool,
    },
    /// Asks a running execution to end
    Cancel {
        /// Its id, or `last`
        id: String,
    },
    /// Lists the artifacts of an execution, or downloads them
    Artifacts {
        /// Its id, or `last`
        id: String,
        /// Download them into this folder
        #[arg(long, value_name = "DIR")]
        download: Option<PathBuf>,
    },
    /// Shows how often executions of a name end well, how long they take, and how steady they are, over 30 days
    Stats {
        /// Only those of this name
        name: Option<String>,
    },
}

/// Shows what was asked for.
///
/// # Errors
/// One sentence when it is not there, or nobody can be asked.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let place = &options.place;
        let api = Api::find(&place.settings, place.server.as_deref(), place.token.as_deref()).await?;
        let shown = show(&api, options).await;
        api.close().await?;
        match shown {
            Err(error) if reader_has_gone(&error) => Ok(ExitCode::SUCCESS),
            shown => shown.map(|()| ExitCode::SUCCESS),
        }
    })
}

fn reader_has_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

async fn show(api: &Api, options: &Options) -> Result<()> {
    let json = options.place.json;
    let mut out = io::stdout().lock();
    match &options.command {
        None => {
            let executions = api.list(&options.list.path(), options.list.limit).await?;
            print(&mut out, json, &Value::Array(executions), view::list)
        }
        Some(Command::Show { id }) => {
            let id = resolve(api, id).await?;
            let execution = api.get(&format!("executions/{id}")).await?;
            let part = async |name: &str| anyhow::Ok(api.get(&format!("executions/{id}/{name}")).await?["data"].take());
            let (steps, annotations) = (part("steps").await?, part("annotations").await?);
            let whole = serde_json::json!({ "execution": execution, "steps": steps, "annotations": annotations });
            print(&mut out, json, &whole, view::one)
        }
        Some(Command::Logs { id, follow, since, step, search, plain, verbose }) => {
            let id = resolve(api, id).await?;
            let path = format!("executions/{id}/logs?{}", filters(*step, search.as_deref(), *plain));
            let each = |line: &Value| view::line(&mut out, line, json, *verbose);
            print_lines(api, &id, &path, *since, *follow, each).await
        }
        Some(Command::Cancel { id }) => {
            let id = resolve(api, id).await?;
            let path = format!("executions/{id}/cancel");
            let answer = api.request(Method::POST, &path, Some(&serde_json::json!({}))).await?.json().await?;
            // The run beside us need not wait until somebody brings it the request.
            let spool = Spool::of(&options.place.settings.store.data_dir);
            if spool.has(&id) {
                spool.ask_to_cancel(&id)?;
            }
            print(&mut out, json, &answer, |_| format!("{id} was asked to end"))
        }
        Some(Command::Artifacts { id, download }) => {
            let id = resolve(api, id).await?;
            let artifacts = api.get(&format!("executions/{id}/artifacts")).await?["data"].take();
            if let Some(folder) = download {
                for artifact in artifacts.as_array().into_iter().flatten() {
                    let path = fetch(api, &id, artifact, folder).await?;
                    writeln!(out, "{}", path.display())?;
                }
                return Ok(());
            }
            print(&mut out, json, &artifacts, view::artifacts)
        }
        Some(Command::Stats { name }) => {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            if let Some(name) = name {
                query.append_pair("name", name);
            }
            let statistics = api.get(&format!("executions/statistics?{}", query.finish())).await?["data"].take();
            print(&mut out, json, &statistics, view::statistics)
        }
    }
}

impl ListOptions {
    fn path(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (key, value) in [("name", &self.name), ("status", &self.status), ("tag", &self.tag)] {
            if let Some(value) = value {
                query.append_pair(key, value);
            }
        }
        format!("executions?{}", query.finish())
    }
}

fn filters(step: Option<u64>, search: Option<&str>, plain: bool) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if let Some(step) = step {
        query.append_pair("step", &step.to_string());
    }
    if let Some(search) = search {
        query.append_pair("search", search);
    }
    if plain {
        query.append_pair("ansi", "strip");
    }
    query.finish()
}

fn print(out: &mut impl io::Write, json: bool, value: &Value, view: impl Fn(&Value) -> String) -> Result<()> {
    let text = if json { serde_json::to_string_pretty(value)? } else { view(value) };
    writeln!(out, "{text}")?;
    Ok(())
}

/// `last` is the newest execution.
async fn resolve(api: &Api, id: &str) -> Result<String> {
    if id != "last" {
        return Ok(id.to_owned());
    }
    let newest = api.list("executions", 1).await?;
    let newest =
        newest.first().ok_or_else(|| anyhow!("there are no executions yet; `tallybook run -- COMMAND` makes one"))?;
    Ok(newest["id"].as_str().context("an execution has an id")?.to_owned())
}

/// Prints the lines there are, and those that come until the execution has ended where it is to be followed.
async fn print_lines(
    api: &Api,
    id: &str,
    path: &str,
    since: Option<u64>,
    follow: bool,
    mut each: impl FnMut(&Value) -> Result<()>,
) -> Result<()> {
    let mut since = since.unwrap_or(1);
    loop {
        // Asked first: lines that come before its end are there when it has ended.
        let execution = api.get(&format!("executions/{id}")).await?;
        loop {
            let page = api.get(&format!("{path}&limit={PAGE_LINES}&since={since}")).await?;
            page["data"].as_array().into_iter().flatten().try_for_each(&mut each)?;
            since = page["next"].as_u64().unwrap_or(since);
            if page["has_more"] != true {
                break;
            }
        }
        if !follow || execution["completed_at"].is_string() {
            return Ok(());
        }
        if api.is_own() {
            bail!("the execution goes on, and no server runs that could tell more; start one with `tallybook serve`");
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Downloads one artifact; its name is the last part of its path, which leads nowhere else.
async fn fetch(api: &Api, id: &str, artifact: &Value, folder: &Path) -> Result<PathBuf> {
    let index = artifact["index"].as_u64().context("an artifact has an index")?;
    let path = artifact["path"].as_str().unwrap_or("artifact");
    let name = Path::new(path).file_name().map_or_else(|| "artifact".into(), |name| name.to_string_lossy());
    let extension = if artifact["kind"] == "folder" { ".tar.zst" } else { "" };
    std::fs::create_dir_all(folder)?;
    let target = folder.join(format!("{name}{extension}"));
    let mut file =
        std::fs::File::create_new(&target).with_context(|| format!("{} is not overwritten", target.display()))?;
    let mut response = api.request(Method::GET, &format!("executions/{id}/artifacts/{index}"), None).await?;
    while let Some(chunk) = response.chunk().await? {
        file.write_all(&chunk)?;
    }
    Ok(target)
}
