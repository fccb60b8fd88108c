//! `tallybook ping`: measures hosts, shows it, and records it where the settings say.

mod line;
mod measure;
mod place;
mod recorder;
mod tally;
mod view;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use tallybook_probe::{Kind, ProbeOptions, Prober, Target};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::settings::Settings;
use measure::Pace;
use place::Place;
use recorder::Recorder;
use view::View;

/// The shortest interval.
const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// The longest wait for an answer.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);
/// The time between two pictures of the live table.
const PICTURE_INTERVAL: Duration = Duration::from_millis(250);
/// Pings that wait to be shown; past this, measuring waits.
const MAX_UNSHOWN: usize = 10_000;

/// What `ping` measures, and where it records.
#[derive(Args)]
pub(crate) struct Options {
    /// Names or addresses; also tcp://HOST:PORT and http(s)://… as they are
    #[arg(value_name = "HOST", required_unless_present = "http", value_parser = str::parse::<Target>)]
    hosts: Vec<Target>,
    /// The time between two probes of a host
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = humantime::parse_duration)]
    interval: Duration,
    /// End after so many probes of each host; without it, Ctrl-C ends
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Send ICMP echo requests; the default
    #[arg(long, conflicts_with = "tcp")]
    icmp: bool,
    /// Open TCP connections to this port of each host instead
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    tcp: Option<u16>,
    /// GET this URL, too; may be given more than once
    #[arg(long, value_name = "URL", value_parser = read_url)]
    http: Vec<Target>,
    /// How long an answer is waited for
    #[arg(long, default_value = "1s", value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Print each ping as a line of JSON
    #[arg(long)]
    json: bool,
    /// Measure only
    #[arg(long)]
    no_record: bool,
    /// Record with the server at this address, and not in the store of the settings
    #[arg(long, value_name = "URL", conflicts_with = "no_record")]
    server: Option<String>,
    /// The server's token
    #[arg(long, env = "API_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    #[command(flatten)]
    settings: Settings,
}

/// Measures until the count is reached or Ctrl-C; the exit code says whether every host answered.
///
/// # Errors
/// One sentence when nothing can be measured or recorded, or when pings were measured and not recorded.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(ping(options))
}

async fn ping(options: &Options) -> Result<ExitCode> {
    let pace = options.pace()?;
    let targets = options.targets()?;
    let prober = Prober::new(ProbeOptions { timeout: options.timeout, ..ProbeOptions::default() })?;
    for target in &targets {
        prober.check(target)?;
    }
    let place = if options.no_record { None } else { Some(Place::open(options).await?) };
    let mut view = View::new(&targets, options.json, options.interval, place.as_ref().map(ToString::to_string));
    let recorder = place.map(Recorder::start);
    let shown = measure_and_show(&prober, targets, pace, &mut view, recorder.as_ref()).await;
    if let Some(recorder) = recorder {
        recorder.finish().await?;
    }
    shown?;
    Ok(if view.all_answered() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure_and_show(
    prober: &Prober,
    targets: Vec<Target>,
    pace: Pace,
    view: &mut View,
    recorder: Option<&Recorder>,
) -> Result<()> {
    let (sender, mut pings) = mpsc::channel(MAX_UNSHOWN);
    let measuring = measure::start(prober, targets, pace, &sender);
    // The channel ends with the last host.
    drop(sender);
    let mut picture = tokio::time::interval(PICTURE_INTERVAL);
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        let shown = tokio::select! {
            ping = pings.recv() => match ping {
                Some((host, ping)) => {
                    let shown = view.ping(host, &ping);
                    if let Some(recorder) = recorder {
                        recorder.take(ping);
                    }
                    shown
                }
                None => break,
            },
            _ = picture.tick() => view.picture(recorder.and_then(Recorder::trouble)),
            _ = tokio::signal::ctrl_c() => break,
            _ = terminate.recv() => break,
        };
        if reader_has_gone(shown)? {
            break;
        }
    }
    drop(measuring);
    reader_has_gone(view.summary())?;
    Ok(())
}

/// Whether nobody reads the output any more, as after `| head`: an end, and no error.
fn reader_has_gone(shown: io::Result<()>) -> io::Result<bool> {
    match shown {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
        shown => shown.map(|()| false),
    }
}

impl Options {
    fn pace(&self) -> Result<Pace> {
        if self.interval < MIN_INTERVAL {
            bail!("--interval must be 10ms or more");
        }
        if self.timeout.is_zero() || self.timeout > MAX_TIMEOUT {
            bail!("--timeout must be above 0 and at most 1m");
        }
        Ok(Pace { interval: self.interval, timeout: self.timeout, count: self.count })
    }

    /// Every target once, in the order of the command line.
    fn targets(&self) -> Result<Vec<Target>> {
        let mut targets: Vec<Target> = Vec::new();
        for host in &self.hosts {
            let target = match (host.kind(), self.tcp) {
                (Kind::Icmp { host }, Some(port)) => Target::new(&Kind::Tcp { host: host.clone(), port })?,
                _ => host.clone(),
            };
            targets.push(target);
        }
        targets.extend(self.http.iter().cloned());
        let mut seen = std::collections::HashSet::new();
        targets.retain(|target| seen.insert(target.name().clone()));
        Ok(targets)
    }
}

fn read_url(text: &str) -> Result<Target, String> {
    let target: Target = text.parse().map_err(|error: tallybook_probe::ProbeError| error.to_string())?;
    match target.kind() {
        Kind::Http { .. } => Ok(target),
        _ => Err("a URL begins with http:// or https://".to_owned()),
    }
}

#[cfg(test)]
mod tests;
