//! `tallybook run` on good days: what a command does is what is recorded, and nothing of it changes.

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use anyhow::Result;
use serde_json::json;
use tallybook_core::Stream;
use tallybook_tests::jobs::{Jobs, Recorded, is_alive, until};
use tallybook_tests::setup::Setup;
use tallybook_tests::tools::sqlite3;

const STEPS: &str = "echo before
echo 'STEP_START:build [duration=60] {target:release, jobs:4} --fast=true'
echo '  indented'; echo; printf '\\033[31mred\\033[0m\\n'
echo step_complete:build
echo 'STEP_START:test'
echo oops >&2; sleep 0.2
echo 'STEP_ERROR:2 tests failed'
echo 'META:rows:120'
echo '::group::pack'; echo '::warning file=a.rs,line=3::old'; echo '::endgroup::'
echo ' STEP_START:not one'; echo 'STEP_COMPLETE:never opened'
printf 'no end'
exit 3";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_without_a_server_is_in_the_store_when_it_ends() -> Result<()> {
    let setup = Setup::new()?;
    let jobs = Jobs::beside(&setup)?;
    let output = jobs.run(&["--name", "nightly", "--tag", "branch=main"], STEPS)?;
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "oops\n");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.starts_with("before\nSTEP_START:build") && printed.ends_with("no end"), "{printed}");
    assert_eq!(jobs.spooled(), 0);
    let rows =
        sqlite3(&setup.database(), "SELECT name, status, exit_code, total_steps, completed_steps FROM executions")?;
    assert_eq!(
        rows,
        [json!({"name": "nightly", "status": "failed", "exit_code": 3, "total_steps": 3, "completed_steps": 3})]
    );

    let recorded = Recorded::only(&setup.database())?;
    assert_eq!(recorded.execution["tags"], json!(r#"{"branch":"main"}"#));
    assert_eq!(recorded.execution["metadata"], json!(r#"{"rows":"120"}"#));
    let steps: Vec<_> = recorded.steps.iter().map(|step| (&step["name"], &step["status"])).collect();
    assert_eq!(
        steps,
        [
            (&json!("build"), &json!("completed")),
            (&json!("test"), &json!("failed")),
            (&json!("pack"), &json!("completed"))
        ]
    );
    let parameters = recorded.steps[0]["parameters"].as_str().unwrap_or_default();
    let parameters: serde_json::Value = serde_json::from_str(parameters)?;
    assert_eq!(parameters, json!({"target": "release", "jobs": 4, "fast": true}));
    let stdout = recorded.lines.iter().filter(|(stream, _)| *stream == Stream::Stdout);
    let stdout: Vec<&str> = stdout.map(|(_, text)| text.as_str()).collect();
    assert_eq!(stdout, printed.lines().collect::<Vec<_>>(), "every line, in its order, as it was printed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_beside_a_server_is_there_when_it_ends_and_live_before() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    let jobs = Jobs::beside(&setup)?;
    assert_eq!(jobs.run(&[], "echo hello")?.status.code(), Some(0));
    let recorded = Recorded::only(&setup.database())?;
    assert_eq!((recorded.status(), recorded.texts()), ("completed", vec!["hello"]));

    let mut job = jobs.command(&["--name", "live"], "read line; echo got $line; read line")?;
    let mut child = job.stdin(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(b"one\n")?;
    until("a line of a run that goes on", async || {
        let all = Recorded::all(&setup.database())?;
        Ok(all.last().is_some_and(|last| last.status() == "running" && last.texts() == ["got one"]))
    })
    .await?;
    drop(stdin);
    child.wait()?;
    let all = Recorded::all(&setup.database())?;
    assert_eq!(all[1].status(), "failed", "`read` at the end of the input fails");
    server.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_elsewhere_records_with_a_token_and_gets_artifacts() -> Result<()> {
    let setup = Setup::new()?.with("API_TOKEN", "letmein");
    let server = setup.start().await?;
    let address = format!("http://{}", server.addresses.api);
    let jobs = Jobs::new()?.recorded_by(&address);
    fs::write(jobs.home().join("report.txt"), "all well\n")?;
    let output = jobs.run(&["--token", "letmein"], "echo hello; echo ARTIFACT:report.txt:The report")?;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(jobs.spooled(), 0);
    let rows = sqlite3(&setup.database(), "SELECT status FROM executions")?;
    assert_eq!(rows, [json!({"status": "completed"})]);
    let kept = sqlite3(&setup.database(), "SELECT sha256, size, mime FROM artifact")?;
    assert_eq!((&kept[0]["size"], &kept[0]["mime"]), (&json!(9), &json!("text/plain; charset=utf-8")));
    let sha256 = kept[0]["sha256"].as_str().unwrap_or_default();
    let content = |data_dir: &std::path::Path| data_dir.join("artifacts").join(&sha256[..2]).join(sha256);
    assert_eq!(fs::read(content(setup.data_dir()))?, b"all well\n");
    assert!(!content(&jobs.home().join("data")).exists(), "the server has it");
    let download = jobs.tallybook(&[
        "executions",
        "artifacts",
        "last",
        "--download",
        "got",
        "--server",
        &address,
        "--token",
        "letmein",
    ])?;
    let output = { download }.output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read(jobs.home().join("got/report.txt"))?, b"all well\n");
    server.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn executions_are_shown_with_and_without_a_server() -> Result<()> {
    let setup = Setup::new()?;
    let jobs = Jobs::beside(&setup)?;
    jobs.run(&["--name", "nightly"], STEPS)?;
    let told = |arguments: &[&str]| -> Result<String> {
        let output = jobs.tallybook(&[&["executions"], arguments].concat())?.output()?;
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    };
    let check = || -> Result<()> {
        let list = told(&[])?;
        assert!(list.contains("nightly") && list.contains("failed") && list.contains("3/3"), "{list}");
        let one = told(&["show", "last"])?;
        for part in ["✓ build", "✗ test", "2 tests failed", "✓ pack", "rows=120", "a.rs:3: old"] {
            assert!(one.contains(part), "`{part}` is not in {one}");
        }
        // Two pipes have no order between them: the line of the other one may come anywhere.
        let lines = told(&["logs", "last", "--plain"])?.replacen("oops\n", "", 1);
        assert!(lines.contains("  indented\n\nred\n") && lines.ends_with("no end\n"), "{lines}");
        assert_eq!(told(&["logs", "last", "--search", "OOPS"])?, "oops\n");
        assert!(told(&["stats"])?.contains("nightly"));
        let json: serde_json::Value = serde_json::from_str(&told(&["--json", "--status", "failed"])?)?;
        assert_eq!(json[0]["exit_code"], 3);
        Ok(())
    };
    check()?;
    let server = setup.start().await?;
    check()?;
    server.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_cancelled_with_and_without_a_server() -> Result<()> {
    let setup = Setup::new()?;
    let jobs = Jobs::beside(&setup)?;
    let cancel = async |status: &str| -> Result<()> {
        let job = jobs.start(&[], "echo begun; : > begun; sleep 300")?;
        until("the start", async || Ok(jobs.home().join("begun").exists())).await?;
        fs::remove_file(jobs.home().join("begun"))?;
        until("the cancel", async || {
            let cancel = jobs.tallybook(&["executions", "cancel", "last"])?.output()?;
            Ok(cancel.status.success())
        })
        .await?;
        assert_eq!(job.end()?.code(), Some(143));
        let last = Recorded::all(&setup.database())?.pop().expect("there is one");
        assert_eq!(last.status(), status);
        Ok(())
    };
    cancel("cancelled").await?;
    let server = setup.start().await?;
    cancel("cancelled").await?;
    server.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_stay_out_of_the_record_and_in_the_output() -> Result<()> {
    let setup = Setup::new()?;
    let jobs = Jobs::beside(&setup)?;
    let script = "echo token is $MY_TOKEN; echo postgres://me:pa55word@db/x; echo \"$SHOWN\" \"::$1\"; echo '::add-mask::hidden-value'; echo hidden-value";
    let mut command = jobs.command(&["--env-allow", "SHOWN,MY_T*"], script)?;
    let output = command.env("MY_TOKEN", "very-secret-1").env("SHOWN", "seen").env("OTHER", "unseen").output()?;
    assert!(String::from_utf8_lossy(&output.stdout).contains("token is very-secret-1"));
    let recorded = Recorded::only(&setup.database())?;
    assert_eq!(recorded.execution["environment"], json!(r#"{"MY_TOKEN":"***","SHOWN":"seen"}"#));
    let everything = format!("{recorded:?}");
    for secret in ["very-secret-1", "pa55word@", "unseen"] {
        assert!(!everything.contains(secret), "{secret} is in {everything}");
    }
    assert_eq!(recorded.texts()[4], "***");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_codes_are_those_of_the_command() -> Result<()> {
    let setup = Setup::new()?;
    let jobs = Jobs::beside(&setup)?;
    assert_eq!(jobs.run(&[], "exit 7")?.status.code(), Some(7));
    assert_eq!(jobs.run(&[], "kill -9 $$")?.status.code(), Some(137));
    let missing = jobs.tallybook(&["run", "--", "no-such-command-here", "x"])?.output()?;
    assert_eq!(missing.status.code(), Some(127));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("there is no command `no-such-command-here`"));
    fs::write(jobs.home().join("data.txt"), "no program")?;
    assert_eq!(jobs.tallybook(&["run", "--", "./data.txt"])?.output()?.status.code(), Some(126));
    assert_eq!(jobs.tallybook(&["run", "--cwd", "none", "--", "true"])?.output()?.status.code(), Some(125));
    let rows = sqlite3(&setup.database(), "SELECT name, status, exit_code FROM executions ORDER BY created_at")?;
    assert_eq!(
        rows,
        [
            json!({"name": "sh", "status": "failed", "exit_code": 7}),
            json!({"name": "sh", "status": "failed", "exit_code": 137}),
            json!({"name": "no-such-command-here", "status": "failed", "exit_code": 127}),
            json!({"name": "data.txt", "status": "failed", "exit_code": 126}),
        ]
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_command_and_its_children_end_at_the_timeout() -> Result<()> {
    let setup = Setup::new()?;
    let jobs = Jobs::beside(&setup)?;
    let script = "trap '' TERM; sleep 300 & echo $! > child; wait; sleep 300";
    // Long enough for the shell to have set its trap.
    let output = jobs.run(&["--timeout", "2s", "--grace", "300ms"], script)?;
    assert_eq!(output.status.code(), Some(137));
    let child = fs::read_to_string(jobs.home().join("child"))?;
    assert!(!is_alive(child.trim()), "the child outlived its group");
    let rows = sqlite3(&setup.database(), "SELECT status, error_message FROM executions")?;
    assert_eq!(rows, [json!({"status": "timed_out", "error_message": "it ran longer than 2s"})]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_to_the_runner_goes_on_to_the_command() -> Result<()> {
    let setup = Setup::new()?;
    let jobs = Jobs::beside(&setup)?;
    let job = jobs.start(&[], "trap 'echo bye > said; exit 9' TERM; : > ready; sleep 300 & wait")?;
    until("the start", async || Ok(jobs.home().join("ready").exists())).await?;
    job.signal("TERM")?;
    assert_eq!(job.end()?.code(), Some(9));
    assert_eq!(fs::read_to_string(jobs.home().join("said"))?, "bye\n");
    let rows = sqlite3(&setup.database(), "SELECT status, exit_code FROM executions")?;
    assert_eq!(rows, [json!({"status": "cancelled", "exit_code": 9})]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_a_step_that_stops_ends_the_command() -> Result<()> {
    let setup = Setup::new()?;
    let jobs = Jobs::beside(&setup)?;
    let script = "echo 'STEP_START:check [stop_on_error=true]'; echo STEP_ERROR:no; sleep 300";
    assert_eq!(jobs.run(&[], script)?.status.code(), Some(143));
    let rows = sqlite3(&setup.database(), "SELECT status, error_message FROM executions")?;
    assert_eq!(rows, [json!({"status": "failed", "error_message": "the step `check` failed"})]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_goes_away_ends_the_command_as_without_a_runner() -> Result<()> {
    let setup = Setup::new()?;
    let jobs = Jobs::beside(&setup)?;
    let run = "\"$TALLYBOOK\" run -- yes | head -1";
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", run]).env("TALLYBOOK", tallybook_tests::tools::tallybook()?).env("DATA_DIR", setup.data_dir());
    let output = shell.current_dir(jobs.home()).output()?;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "y\n");
    let rows = sqlite3(&setup.database(), "SELECT status, exit_code FROM executions")?;
    assert_eq!(rows, [json!({"status": "failed", "exit_code": 141})]);
    Ok(())
}
