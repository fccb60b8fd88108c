//! Executions for people.

use std::fmt::Write as _;
use std::io;

use anyhow::Result;
use bytesize::ByteSize;
use comfy_table::{Cell, CellAlignment, Table, presets::UTF8_BORDERS_ONLY};
use serde_json::Value;

/// A table of executions, the newest first.
pub(super) fn list(executions: &Value) -> String {
    let executions = executions.as_array().map_or(&[][..], Vec::as_slice);
    if executions.is_empty() {
        return "no executions; `tallybook run -- COMMAND` makes one".to_owned();
    }
    let mut table = table(["id", "name", "status", "exit", "started", "took", "steps", "lines"]);
    for execution in executions {
        table.add_row([
            Cell::new(text(&execution["id"])),
            Cell::new(text(&execution["name"])),
            Cell::new(text(&execution["status"])),
            right(text(&execution["exit_code"])),
            Cell::new(moment(&execution["started_at"])),
            right(took(execution)),
            right(steps_done(execution)),
            right(text(&execution["lines"])),
        ]);
    }
    table.to_string()
}

/// One execution and its steps as a tree.
pub(super) fn one(whole: &Value) -> String {
    let execution = &whole["execution"];
    let mut out = String::new();
    let command: Vec<&str> = execution["command"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let tags: Vec<String> = pairs(&execution["tags"]).collect();
    let facts: Vec<String> = pairs(&execution["metadata"]).collect();
    let fields = [
        ("id", text(&execution["id"])),
        ("name", text(&execution["name"])),
        ("command", command.join(" ")),
        ("in", text(&execution["working_directory"])),
        ("status", text(&execution["status"])),
        ("exit code", text(&execution["exit_code"])),
        ("error", text(&execution["error_message"])),
        ("started", moment(&execution["started_at"])),
        ("took", took(execution)),
        ("by", text(&execution["user_name"])),
        ("tags", tags.join(", ")),
        ("facts", facts.join(", ")),
        ("lines", text(&execution["lines"])),
    ];
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(out, "{name:<10} {value}");
    }
    let steps = whole["steps"].as_array().map_or(&[][..], Vec::as_slice);
    tree(&mut out, steps, &Value::Null, 0);
    for annotation in whole["annotations"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "{:<10} {}", text(&annotation["level"]), text(&annotation["message"]));
    }
    out.trim_end().to_owned()
}

/// The steps within `parent`, each with those within it.
fn tree(out: &mut String, steps: &[Value], parent: &Value, depth: usize) {
    /// Deeper steps are shown at this depth.
    const MAX_DEPTH: usize = 32;
    for step in steps.iter().filter(|step| step["parent"] == *parent && depth < MAX_DEPTH) {
        let sign = match step["status"].as_str() {
            Some("completed") => "✓",
            Some("running") => "▸",
            Some("skipped") => "–",
            _ => "✗",
        };
        let indent = "  ".repeat(depth + 1);
        let error = step["error_message"].as_str().map_or(String::new(), |error| format!(": {error}"));
        let status = if sign == "✓" { String::new() } else { format!(" {}", text(&step["status"])) };
        let _ = writeln!(out, "{indent}{sign} {} {}{status}{error}", text(&step["name"]), took(step));
        tree(out, steps, &step["index"], depth + 1);
    }
}

/// A table of artifacts.
pub(super) fn artifacts(artifacts: &Value) -> String {
    let artifacts = artifacts.as_array().map_or(&[][..], Vec::as_slice);
    if artifacts.is_empty() {
        return "no artifacts".to_owned();
    }
    let mut table = table(["path", "kind", "size", "type", "description", "sha256"]);
    for artifact in artifacts {
        table.add_row([
            Cell::new(text(&artifact["path"])),
            Cell::new(text(&artifact["kind"])),
            right(artifact["size"].as_u64().map_or(String::new(), |size| ByteSize(size).to_string())),
            Cell::new(text(&artifact["mime_type"])),
            Cell::new(text(&artifact["description"])),
            Cell::new(text(&artifact["sha256"]).chars().take(12).collect::<String>()),
        ]);
    }
    table.to_string()
}

/// A table of what runs of each name come to.
pub(super) fn statistics(names: &Value) -> String {
    let names = names.as_array().map_or(&[][..], Vec::as_slice);
    if names.is_empty() {
        return "no executions within 30 days".to_owned();
    }
    let mut table = table(["name", "runs", "success", "p50", "p95", "flakiness"]);
    let percent = |share: &Value| share.as_f64().map_or(String::new(), |share| format!("{:.1} %", share * 100.0));
    let time = |ms: &Value| ms.as_f64().map_or(String::new(), |ms| rounded(ms as u64));
    for name in names {
        table.add_row([
            Cell::new(text(&name["name"])),
            right(text(&name["runs"])),
            right(percent(&name["success_rate"])),
            right(time(&name["p50_ms"])),
            right(time(&name["p95_ms"])),
            right(percent(&name["flakiness"])),
        ]);
    }
    table.to_string()
}

/// One line of output: as it came, or with where it came from.
pub(super) fn line(out: &mut impl io::Write, line: &Value, json: bool, verbose: bool) -> Result<()> {
    let content = line["text"].as_str().unwrap_or_default();
    if json {
        writeln!(out, "{line}")?;
    } else if verbose {
        let (number, time, stream) = (text(&line["line"]), text(&line["time"]), text(&line["stream"]));
        writeln!(out, "{number:>6} {time} {stream} {content}")?;
    } else {
        writeln!(out, "{content}")?;
    }
    Ok(())
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(UTF8_BORDERS_ONLY).set_header(header);
    table
}

fn right(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn pairs(object: &Value) -> impl Iterator<Item = String> {
    object.as_object().into_iter().flatten().map(|(key, value)| format!("{key}={}", text(value)))
}

/// To the second.
fn moment(time: &Value) -> String {
    let Some(time) = time.as_str() else { return String::new() };
    time.parse::<jiff::Timestamp>().map_or(time.to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

/// How long something took, or takes so far.
fn took(row: &Value) -> String {
    let time = |name: &str| row[name].as_str()?.parse::<jiff::Timestamp>().ok();
    let Some(started) = time("started_at") else { return String::new() };
    let ended = time("completed_at").unwrap_or_else(jiff::Timestamp::now);
    let took = std::time::Duration::try_from(ended.duration_since(started)).unwrap_or_default();
    rounded(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}

/// Nobody needs the milliseconds of what took minutes.
fn rounded(millis: u64) -> String {
    let rounded = match millis {
        0..10_000 => millis,
        10_000.. => millis / 1_000 * 1_000,
    };
    humantime::format_duration(std::time::Duration::from_millis(rounded)).to_string()
}

fn steps_done(execution: &Value) -> String {
    match execution["total_steps"].as_u64() {
        None | Some(0) => String::new(),
        Some(total) => format!("{}/{total}", text(&execution["completed_steps"])),
    }
}
