//! What `tallybook run` costs a command.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tallybook_benches::server::{Server, binary};

use crate::{markdown, percentile};

/// What is asked of `tallybook run -- true`.
const MAX_OVERHEAD: Duration = Duration::from_millis(15);
/// Commands that print lines, each as its authors buffer a pipe, and what stands for the number of lines.
const PRINTERS: [(&str, &str); 3] = [
    ("python3, print()", "exec python3 -c 'for i in range(LINES): print(\"line\", i)'"),
    ("awk, print", "exec awk 'BEGIN { for (i = 0; i < LINES; i++) print \"line\", i }'"),
    ("seq", "exec seq LINES"),
];

/// `true` by itself and under `tallybook run`, one after the other, so that both see the same machine.
pub(crate) fn of_true(runs: usize) -> Result<()> {
    let mut table = markdown(["`tallybook run -- true`", "median ms", "p95 ms", "over `true`, median ms", "asked"]);
    let folder = tempfile::tempdir()?;
    table.add_row(row("without a server", folder.path(), runs)?);
    let folder = tempfile::tempdir()?;
    let (server, _) = Server::start(folder.path())?;
    table.add_row(row("beside a server", folder.path(), runs)?);
    server.stop()?;
    println!("{table}\n");
    Ok(())
}

fn row(name: &str, data_dir: &Path, runs: usize) -> Result<[String; 5]> {
    let program = binary()?;
    let (mut bare, mut recorded) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        bare.push(time(&mut Command::new("true"))?);
        recorded.push(time(Command::new(&program).args(["run", "--", "true"]).env("DATA_DIR", data_dir))?);
    }
    let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
    let bare = percentile(&mut bare, 0.5).context("no runs")?;
    let (median, p95) = (percentile(&mut recorded, 0.5), percentile(&mut recorded, 0.95));
    let (median, p95) = median.zip(p95).context("no runs")?;
    let asked = format!("under {}", MAX_OVERHEAD.as_millis());
    Ok([name.to_owned(), ms(median), ms(p95), ms(median.saturating_sub(bare)), asked])
}

/// A command that prints many lines into `cat > file`, and under `tallybook run` into a file.
pub(crate) fn of_lines(lines: u64, tries: usize) -> Result<()> {
    let title = format!("{lines} lines");
    let mut table = markdown([&title, "`| cat > file`, s", "`tallybook run`, s", "times as long", "asked"]);
    let folder = tempfile::tempdir()?;
    let program = binary()?;
    let file = folder.path().join("output");
    for (name, script) in PRINTERS {
        let script = script.replace("LINES", &lines.to_string());
        let (mut bare, mut recorded) = (Vec::new(), Vec::new());
        for _ in 0..tries {
            let cat = format!("sh -c '{}' | cat > {}", script.replace('\'', "'\\''"), file.display());
            bare.push(time(Command::new("sh").args(["-c", &cat]))?);
            let mut run = Command::new(&program);
            run.args(["run", "--", "sh", "-c", &script]).env("DATA_DIR", folder.path().join("data"));
            recorded.push(time(run.stdout(File::create(&file)?))?);
        }
        let (bare, recorded) = percentile(&mut bare, 0.0).zip(percentile(&mut recorded, 0.0)).context("no tries")?;
        table.add_row([
            name.to_owned(),
            format!("{:.3}", bare.as_secs_f64()),
            format!("{:.3}", recorded.as_secs_f64()),
            format!("{:.2}", recorded.as_secs_f64() / bare.as_secs_f64()),
            "at most 1.3".to_owned(),
        ]);
    }
    println!("{table}\n");
    Ok(())
}

fn time(command: &mut Command) -> Result<Duration> {
    let begun = Instant::now();
    let status = command.stdin(Stdio::null()).status()?;
    let time = begun.elapsed();
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(time)
}
