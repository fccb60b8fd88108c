//! `tallybook run` on bad days.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;
use tallybook_testing::SmallDisk;
use tallybook_tests::jobs::{Jobs, Recorded, until};
use tallybook_tests::setup::Setup;
use tallybook_tests::tools::{check_integrity, sqlite3};

/// What `kill -9` may cost.
const MAX_LOSS: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_loses_at_most_200_ms_of_lines_and_the_next_start_says_interrupted() -> Result<()> {
    let setup = Setup::new()?;
    let jobs = Jobs::beside(&setup)?;
    // Its own record of what it has printed and when, in nanoseconds.
    let script = "i=0; while :; do i=$((i+1)); echo line $i; date +\"$i %s%N\" >> printed; sleep 0.01; done";
    let job = jobs.start(&["--name", "victim"], script)?;
    let printed = || fs::read_to_string(jobs.home().join("printed")).unwrap_or_default();
    // A busy machine lets the runner wait as it does this test between two looks.
    let (looked, longest) = (Cell::new(Instant::now()), Cell::new(Duration::ZERO));
    until("a hundred lines", async || {
        longest.set(longest.get().max(looked.replace(Instant::now()).elapsed()));
        Ok(printed().lines().count() >= 100)
    })
    .await?;
    let killed_at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos();
    job.kill()?;
    assert_eq!(jobs.spooled(), 1);
    // The next run delivers it.
    assert_eq!(jobs.run(&["--name", "next"], "echo hello")?.status.code(), Some(0));
    assert_eq!(jobs.spooled(), 0);

    let recorded = Recorded::all(&setup.database())?.remove(0);
    assert_eq!(recorded.status(), "interrupted");
    let lines = recorded.lines.len();
    for (at, text) in recorded.texts().iter().enumerate() {
        assert_eq!(*text, format!("line {}", at + 1));
    }
    // Each line passes a pipe, two threads and a file.
    let safe = killed_at - (MAX_LOSS + 4 * longest.get()).as_nanos();
    let printed = printed();
    let due = printed
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(_, at)| at.parse::<u128>().is_ok_and(|at| at < safe));
    let due = due.count();
    assert!(due > 20 && lines >= due, "{lines} lines are recorded, {due} were printed in time");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_is_killed_in_any_state_leaves_no_execution_without_an_end() -> Result<()> {
    let setup = Setup::new()?;
    let jobs = Jobs::beside(&setup)?;
    // From before its first event until it has ended before it is killed, in steps that are shorter than what it does in
    // between.
    let mut delay = Duration::ZERO;
    loop {
        let job = jobs.start(&[], "echo STEP_START:one; echo a; sleep 0.01; echo STEP_COMPLETE:one; echo b")?;
        std::thread::sleep(delay);
        if job.kill().is_err() {
            break;
        }
        delay += (delay / 16).max(Duration::from_micros(2_500));
    }
    let last = jobs.run(&["--name", "last"], "true")?;
    assert_eq!(jobs.spooled(), 0, "{}", String::from_utf8_lossy(&last.stderr));
    check_integrity(&setup.database())?;
    let open = sqlite3(
        &setup.database(),
        "SELECT name, status FROM executions WHERE status IN ('pending', 'running') UNION ALL
         SELECT name, status FROM steps WHERE status IN ('pending', 'running')",
    )?;
    assert_eq!(open, Vec::<serde_json::Value>::new());
    let ended = sqlite3(&setup.database(), "SELECT DISTINCT status FROM executions ORDER BY status")?;
    assert!(ended.contains(&json!({"status": "interrupted"})), "{ended:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_changes_nothing_for_the_command_and_is_said() -> Result<()> {
    let disk = SmallDisk::new(16)?;
    let setup = Setup::new()?.data_in(disk.path());
    let jobs = Jobs::beside(&setup)?;
    jobs.run(&["--name", "before"], "echo the store is made")?;
    let script = "echo first; while [ ! -e full ]; do sleep 0.02; done
        head -c 3000000 /dev/urandom | base64; exit 5";
    let mut child = jobs.command(&["--name", "full"], script)?.stdout(Stdio::piped()).spawn()?;
    let mut stdout = child.stdout.take().expect("it is piped");
    let reader = std::thread::spawn(move || std::io::read_to_string(&mut stdout));
    until("the first line", async || Ok(jobs.has_spooled("first\n"))).await?;
    disk.fill()?;
    fs::write(jobs.home().join("full"), "")?;
    let output = child.wait_with_output()?;
    assert_eq!(output.status.code(), Some(5));
    let printed = reader.join().expect("it does not panic")?;
    assert!(printed.len() > 4_000_000, "{} bytes", printed.len());
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(complaint.contains("lines and 0 other events are not recorded: No space left"), "{complaint}");
    ensure!(complaint.contains("not delivered yet") && complaint.contains("tallybook run --deliver"), "{complaint}");

    disk.free()?;
    jobs.deliver()?;
    let rows = sqlite3(&setup.database(), "SELECT status, exit_code FROM executions WHERE name = 'full'")?;
    assert_eq!(rows, [json!({"status": "failed", "exit_code": 5})], "its end was recorded in the room it had reserved");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_under_load_gets_everything_later() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    let addresses = server.addresses;
    let jobs = Jobs::new()?.recorded_by(&format!("http://{}", addresses.api));
    let script = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo line $i; sleep 0.01
        [ $i -lt 150 ] || until [ -e gone ]; do sleep 0.01; done; done";
    let runs: Vec<_> = (0..4).map(|_| jobs.start(&["--name", "load"], script)).collect::<Result<_>>()?;
    until("four runs", async || Ok(server.list("executions?total=true").await?.len() == 4)).await?;
    server.kill().await?;
    fs::write(jobs.home().join("gone"), "")?;
    for run in runs {
        assert_eq!(run.end()?.code(), Some(0));
    }
    assert!(jobs.spooled() > 0);
    let setup = setup.at(addresses);
    let server = setup.start().await?;
    jobs.deliver()?;
    assert_eq!(jobs.spooled(), 0);
    let all = Recorded::all(&setup.database())?;
    assert_eq!(all.len(), 4);
    for recorded in all {
        assert_eq!(recorded.status(), "completed");
        let expected: Vec<String> = (1..=300).map(|i| format!("line {i}")).collect();
        assert_eq!(recorded.texts(), expected);
    }
    server.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_beside_a_run_takes_it_up_again() -> Result<()> {
    let setup = Setup::new()?;
    let server = setup.start().await?;
    let jobs = Jobs::beside(&setup)?;
    let script = "i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo line $i; sleep 0.01
        [ $i -lt 100 ] || until [ -e again ]; do sleep 0.01; done; done";
    let run = jobs.start(&[], script)?;
    until("a run", async || Ok(server.list("executions?total=true").await?.len() == 1)).await?;
    server.kill().await?;
    let server = setup.start().await?;
    fs::write(jobs.home().join("again"), "")?;
    assert_eq!(run.end()?.code(), Some(0));
    let recorded = Recorded::only(&setup.database())?;
    assert_eq!(recorded.status(), "completed");
    assert_eq!(recorded.texts(), (1..=200).map(|i| format!("line {i}")).collect::<Vec<_>>());
    server.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runners_with_one_name_at_the_same_time_do_not_meet() -> Result<()> {
    let setup = Setup::new()?;
    let jobs = Jobs::beside(&setup)?;
    let runs: Vec<_> = (0..8)
        .map(|at| jobs.start(&["--name", "twin"], &format!("echo I am {at}; sleep 0.1; exit {at}")))
        .collect::<Result<_>>()?;
    for (at, run) in (0..).zip(runs) {
        assert_eq!(run.end()?.code(), Some(at));
    }
    assert_eq!(jobs.spooled(), 0);
    let mut found = Vec::new();
    for recorded in Recorded::all(&setup.database())? {
        let code = recorded.execution["exit_code"].as_i64().unwrap_or(-1);
        assert_eq!(recorded.texts(), [format!("I am {code}")]);
        found.push(code);
    }
    found.sort_unstable();
    assert_eq!(found, (0..8).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_that_keeps_the_output_open_does_not_hold_the_run() -> Result<()> {
    let setup = Setup::new()?;
    let jobs = Jobs::beside(&setup)?;
    let begun = Instant::now();
    let output = jobs
        .command(&[], "sleep 30 & echo parent is done; exit 4")?
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    assert_eq!(output.code(), Some(4));
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "it took {took:?}");
    let recorded = Recorded::only(&setup.database())?;
    assert_eq!((recorded.status(), recorded.texts()), ("failed", vec!["parent is done"]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn markers_that_are_printed_in_pieces_are_markers() -> Result<()> {
    let setup = Setup::new()?;
    let jobs = Jobs::beside(&setup)?;
    let output = jobs.run(
        &[],
        "for part in STEP_ STA RT:sl ow; do printf %s $part; sleep 0.05; done; echo; printf STEP_COMPLETE; sleep 0.15; echo :slow",
    )?;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "STEP_START:slow\nSTEP_COMPLETE:slow\n");
    let rows = sqlite3(&setup.database(), "SELECT name, status FROM steps")?;
    assert_eq!(rows, [json!({"name": "slow", "status": "completed"})]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_text_pass_and_are_kept() -> Result<()> {
    let setup = Setup::new()?;
    let jobs = Jobs::beside(&setup)?;
    let script =
        "printf 'a\\377\\376b\\n\\000\\001\\n'; head -c 100000 /dev/urandom > random; cat random; echo; echo end";
    let output = jobs.run(&[], script)?;
    let random = fs::read(jobs.home().join("random"))?;
    assert_eq!(output.stdout, [&b"a\xff\xfeb\n\x00\x01\n"[..], &random, b"\nend\n"].concat());
    let recorded = Recorded::only(&setup.database())?;
    assert_eq!(recorded.texts()[0], "a\u{fffd}\u{fffd}b");
    assert_eq!(recorded.texts().last(), Some(&"end"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_of_100_mb_passes_and_is_kept_in_pieces() -> Result<()> {
    const MB: usize = 100;
    let setup = Setup::new()?;
    let jobs = Jobs::beside(&setup)?;
    let script = format!("echo before; head -c {MB}000000 /dev/zero | tr '\\0' x; echo; echo after");
    let output = jobs.run(&[], &script)?;
    assert_eq!(output.stdout.len(), MB * 1_000_000 + "before\n\nafter\n".len());
    let rows = sqlite3(&setup.database(), "SELECT sum(text_bytes) AS bytes, max(lines) > 1 AS many FROM log_chunk")?;
    // Pieces have no line feed of their own.
    assert_eq!(rows[0]["bytes"], json!(output.stdout.len()));
    let memory = sqlite3(&setup.database(), "SELECT count(*) AS pieces FROM log_chunk")?;
    assert!(memory[0]["pieces"].as_u64() > Some(100), "{memory:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_to_etc_in_an_artifact_stays_a_link() -> Result<()> {
    let setup = Setup::new()?;
    let jobs = Jobs::beside(&setup)?;
    fs::create_dir(jobs.home().join("out"))?;
    fs::write(jobs.home().join("out/report.txt"), "all well\n")?;
    symlink("/etc", jobs.home().join("out/etc"))?;
    symlink("/etc/passwd", jobs.home().join("passwd"))?;
    jobs.run(&[], "echo ARTIFACT:out:Everything; echo ARTIFACT:passwd; echo ARTIFACT:/etc/passwd; echo ARTIFACT:none")?;
    let kept = sqlite3(&setup.database(), "SELECT path, kind, sha256 FROM artifact")?;
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!((&kept[0]["path"], &kept[0]["kind"]), (&json!("out"), &json!("folder")));
    let sha256 = kept[0]["sha256"].as_str().unwrap_or_default();
    let archive = setup.data_dir().join("artifacts").join(&sha256[..2]).join(sha256);
    let mut tar = Vec::new();
    std::io::Read::read_to_end(&mut zstd::Decoder::new(fs::File::open(archive)?)?, &mut tar)?;
    assert!(!String::from_utf8_lossy(&tar).contains("root:"), "a file of /etc is in the archive");
    let errors = sqlite3(&setup.database(), "SELECT message FROM annotation ORDER BY annotation_index")?;
    let messages: Vec<&str> = errors.iter().filter_map(|row| row["message"].as_str()).collect();
    assert_eq!(messages.len(), 3, "{messages:?}");
    for (message, why) in messages.iter().zip(["outside", "outside", "No such file"]) {
        assert!(message.contains(why), "{message}");
    }
    Ok(())
}
