//! What `ping` shows: a table that renews itself on a terminal, else a line for each ping; a summary at the end.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use tallybook_core::Ping;
use tallybook_probe::Target;

use super::line::{milliseconds, to_json};
use super::tally::Tally;

/// Hosts in the live table: with its frame it fits 24 lines. The summary has all of them.
const MAX_LIVE_HOSTS: usize = 17;
const HEADINGS: [&str; 9] = ["host", "sent", "lost %", "last", "min", "avg", "p95", "max", "jitter"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Live,
    Lines,
    Json,
}

/// Everything that is shown of all hosts.
#[derive(Debug)]
pub(crate) struct View {
    hosts: Vec<(Target, Tally)>,
    form: Form,
    /// The last line of the picture.
    footer: String,
    /// Lines of the last picture, over which the next one is drawn.
    lines: usize,
    trouble: Option<String>,
}

impl View {
    /// `place` is where pings are recorded.
    pub(crate) fn new(targets: &[Target], json: bool, interval: Duration, place: Option<String>) -> Self {
        let form = match (json, io::stdout().is_terminal()) {
            (true, _) => Form::Json,
            (false, true) => Form::Live,
            (false, false) => Form::Lines,
        };
        let place = place.map_or("not recorded".to_owned(), |place| format!("recorded {place}"));
        let footer = format!("ms · every {} · {place} · Ctrl-C ends", humantime::format_duration(interval));
        let hosts = targets.iter().map(|target| (target.clone(), Tally::default())).collect();
        Self { hosts, form, footer, lines: 0, trouble: None }
    }

    /// Whether every host answered at least once.
    pub(crate) fn all_answered(&self) -> bool {
        self.hosts.iter().all(|(_, tally)| tally.answered() > 0)
    }

    /// Counts a ping, and prints its line where lines are printed.
    pub(crate) fn ping(&mut self, host: usize, ping: &Ping) -> io::Result<()> {
        self.hosts[host].1.add(ping);
        match self.form {
            Form::Live => Ok(()),
            Form::Lines => writeln!(io::stdout(), "{}", line(ping)),
            Form::Json => writeln!(io::stdout(), "{}", to_json(ping)),
        }
    }

    /// Renews the table, and says what keeps pings from being recorded.
    pub(crate) fn picture(&mut self, trouble: Option<String>) -> io::Result<()> {
        if self.form == Form::Live {
            self.trouble = trouble;
            return self.draw();
        }
        if trouble != self.trouble {
            if let Some(trouble) = &trouble {
                eprintln!("tallybook: {trouble}");
            }
            self.trouble = trouble;
        }
        Ok(())
    }

    fn draw(&mut self) -> io::Result<()> {
        let more = match self.hosts.len().saturating_sub(MAX_LIVE_HOSTS) {
            0 => String::new(),
            more => format!("and {more} more hosts\n"),
        };
        let footer = self.trouble.as_deref().unwrap_or(&self.footer);
        let picture = format!("{}\n{more}{footer}\n", self.table());
        let mut out = io::stdout().lock();
        if self.lines > 0 {
            // Over the last picture, with nothing left of longer lines: no flicker from clearing first.
            write!(out, "\x1b[{}A", self.lines)?;
        }
        write!(out, "{}\x1b[J", picture.replace('\n', "\x1b[K\n"))?;
        self.lines = picture.lines().count();
        out.flush()
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_preset(UTF8_FULL_CONDENSED);
        // Some terminals say that they are 0 wide, and would get a letter a line.
        if table.width().is_some_and(|width| width > 0) {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        table.set_header(HEADINGS);
        for (target, tally) in self.hosts.iter().take(MAX_LIVE_HOSTS) {
            let [min, average, p95, max] = tally.latencies();
            let latencies = [tally.last, min, average, p95, max, tally.jitter];
            let numbers = [tally.summary.count().to_string(), format!("{:.1}", tally.lost_percent())];
            let row = [target.to_string()].into_iter().chain(numbers).chain(latencies.map(shown));
            table.add_row(row);
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }

    /// What all pings of each host come to, like ping(8).
    pub(crate) fn summary(&mut self) -> io::Result<()> {
        if self.form == Form::Live {
            self.draw()?;
        }
        let text: String = self.hosts.iter().map(|(target, tally)| summary(target, tally)).collect();
        match self.form {
            // There, standard output is for pings alone.
            Form::Json => write!(io::stderr(), "{text}"),
            Form::Live | Form::Lines => write!(io::stdout(), "{text}"),
        }
    }
}

fn line(ping: &Ping) -> String {
    let number = ping.sequence.unwrap_or_default();
    let ttl = ping.ttl.map(|ttl| format!(" ttl={ttl}")).unwrap_or_default();
    match (ping.latency, &ping.error) {
        (Some(latency), _) => {
            format!("answer from {}: seq={number}{ttl} time={} ms", ping.target, shown(Some(latency)))
        }
        (None, Some(error)) => format!("lost to {}: seq={number} {error}", ping.target),
        (None, None) => format!("lost to {}: seq={number}", ping.target),
    }
}

fn summary(target: &Target, tally: &Tally) -> String {
    let (sent, answered, lost) = (tally.summary.count(), tally.answered(), tally.lost_percent());
    let counts = format!("\n--- {target} ---\n{sent} sent, {answered} answered, {lost:.1} % lost\n");
    if answered == 0 {
        return counts;
    }
    let latencies = tally.latencies().map(shown).join("/");
    format!("{counts}min/avg/p95/max {latencies} ms, jitter {} ms\n", shown(tally.jitter))
}

fn shown(nanoseconds: Option<u64>) -> String {
    nanoseconds.map_or("–".to_owned(), |nanoseconds| format!("{:.3}", milliseconds(nanoseconds)))
}
