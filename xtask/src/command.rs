//! Runs other programs, and says which.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result, bail};

/// The cargo that runs this program, or the first one on the path.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs the command without standard input; fails unless it succeeds.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    announce(command);
    let status = command.stdin(Stdio::null()).status().with_context(|| cannot_run(command))?;
    check(command, status)
}

/// Like [`run`], and hands every line of standard output to `read` after passing it on.
pub(crate) fn run_reading(command: &mut Command, mut read: impl FnMut(&str)) -> Result<()> {
    announce(command);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().with_context(|| cannot_run(command))?;
    let output = child.stdout.take().expect("stdout was piped above");
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    // Bytes, not `lines()`: a test may print what is not UTF-8.
    while output.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        print!("{text}");
        read(text.trim_end());
        line.clear();
    }
    let status = child.wait()?;
    check(command, status)
}

/// Whether the command can be started and succeeds; what it prints is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn announce(command: &Command) {
    eprintln!("$ {}", text(command));
}

fn check(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{}` failed ({status})", text(command));
    }
    Ok(())
}

fn cannot_run(command: &Command) -> String {
    format!("cannot run `{}`", text(command))
}

/// The command as one would type it, with the program's name instead of its path.
fn text(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let words: Vec<_> = std::iter::once(name).chain(command.get_args()).map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_names_the_command_and_its_status() {
        let error = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        assert_eq!(error.to_string(), "`sh -c exit 3` failed (exit status: 3)");
    }

    #[test]
    fn missing_program_is_named() {
        let error = run(&mut Command::new("/nowhere/no-such-program")).unwrap_err();
        assert_eq!(error.to_string(), "cannot run `no-such-program`");
    }

    #[test]
    fn every_line_is_read_even_when_it_is_not_utf8_or_not_ended() {
        let mut lines = Vec::new();
        run_reading(Command::new("printf").arg("one\\n\\377\\nthree"), |line| {
            lines.push(line.to_owned());
        })
        .unwrap();
        assert_eq!(lines, ["one", "\u{fffd}", "three"]);
    }

    #[test]
    fn output_before_a_failure_is_read() {
        let mut lines = 0;
        let result = run_reading(Command::new("sh").args(["-c", "echo a; exit 1"]), |_| {
            lines += 1;
        });
        assert!(result.is_err());
        assert_eq!(lines, 1);
    }
}
