//! A server that many executions report to at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tallybook_benches::server::Server;
use tallybook_core::{
    ExecutionEvent, ExecutionEventKind, ExecutionStatus, LineEnd, LogLines, NewExecution, Stream, Timestamp,
};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::client::Client;
use crate::{markdown, percentile};

/// Lines a second of each execution; a runner sends what came in a second as one event.
const LINES_PER_SECOND: u64 = 20;
/// The pause between two calls of whoever looks on.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Connections that change states as fast as they are answered.
const CHANGERS: u64 = 64;

/// One execution as its runner tells it.
struct Job {
    client: Client,
    id: String,
    next: u64,
}

impl Job {
    async fn begin(server: &Server, name: &str) -> Result<Self> {
        let client = Client::connect(server.api).await?;
        let mut job = Self { client, id: uuid::Uuid::now_v7().hyphenated().to_string(), next: 1 };
        let new = NewExecution { name: name.into(), command: vec!["./job".to_owned()], ..NewExecution::default() };
        job.send(vec![ExecutionEventKind::Created(new), ExecutionEventKind::Started]).await?;
        Ok(job)
    }

    async fn send(&mut self, kinds: Vec<ExecutionEventKind>) -> Result<()> {
        let at = Timestamp::now();
        let events: Vec<_> =
            (self.next..).zip(kinds).map(|(number, kind)| ExecutionEvent { number, at, kind }).collect();
        self.client.events(&self.id, &events).await?;
        self.next += events.len() as u64;
        Ok(())
    }

    async fn lines(&mut self, first: u64, count: u64) -> Result<()> {
        let mut lines = LogLines::default();
        for line in first..first + count {
            let text = format!("line {line}: GET /api/v1/orders/{} answered 200 in {} ms", line * 7919, line % 97);
            lines.push_line(Timestamp::now(), Stream::Stdout, text.as_bytes(), LineEnd::Newline);
        }
        let lines = lines.encode().context("there are lines")?;
        self.send(vec![ExecutionEventKind::Lines { step: None, lines }]).await
    }

    async fn end(mut self) -> Result<(Client, String)> {
        let status = ExecutionStatus::Completed;
        self.send(vec![ExecutionEventKind::Finished { status, exit_code: Some(0), error: None }]).await?;
        Ok((self.client, self.id))
    }
}

/// Lines of many executions, and the API meanwhile.
pub(crate) fn lines(executions: u64, time: Duration) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (server, _) = Server::start(folder.path())?;
    let (server, cpu_before) = (Arc::new(server), Instant::now());
    let (mut calls, lost, cpu) = tokio::runtime::Runtime::new()?.block_on(async {
        let done = Arc::new(AtomicBool::new(false));
        let looker = tokio::spawn(look_on(server.clone(), done.clone()));
        let mut jobs = JoinSet::new();
        for number in 0..executions {
            let server = server.clone();
            jobs.spawn(async move {
                // Not all in the same moment.
                sleep(Duration::from_secs(1) * number as u32 / executions as u32).await;
                let mut job = Job::begin(&server, &format!("job-{}", number % 50)).await?;
                let mut second = interval(Duration::from_secs(1));
                second.set_missed_tick_behavior(MissedTickBehavior::Delay);
                for at in 0..time.as_secs() {
                    second.tick().await;
                    job.lines(at * LINES_PER_SECOND, LINES_PER_SECOND).await?;
                }
                let (mut client, id) = job.end().await?;
                let sent = time.as_secs() * LINES_PER_SECOND;
                let known = client.get(&format!("/api/v1/executions/{id}")).await?["lines"].as_u64();
                anyhow::Ok(sent - known.context("no lines")?)
            });
        }
        let mut lost = 0;
        while let Some(job) = jobs.join_next().await {
            lost += job??;
        }
        done.store(true, Ordering::Relaxed);
        anyhow::Ok((looker.await??, lost, server.cpu()?))
    })?;
    let wall = cpu_before.elapsed();
    let ms = |share| Some(format!("{:.1}", percentile(&mut calls.clone(), share)?.as_secs_f64() * 1e3));
    let (p50, p95) = ms(0.5).zip(ms(0.95)).context("no calls")?;
    calls.clear();
    let title = format!("{executions} executions at once, {LINES_PER_SECOND} lines/s each, {} s", time.as_secs());
    let mut table = markdown([&title, "measured", "asked"]);
    table.add_row(["lines lost", &lost.to_string(), "0"]);
    table.add_row(["API p50/p95 ms meanwhile", &format!("{p50} / {p95}"), "p95 under 10"]);
    table.add_row(["cores the server used", &format!("{:.2}", cpu.as_secs_f64() / wall.as_secs_f64()), "–"]);
    println!("{table}\n");
    Arc::into_inner(server).context("every job has ended")?.stop()
}

/// Lists and logs, as people ask for them.
async fn look_on(server: Arc<Server>, done: Arc<AtomicBool>) -> Result<Vec<Duration>> {
    let mut client = Client::connect(server.api).await?;
    let mut calls = Vec::new();
    let mut id = String::new();
    while !done.load(Ordering::Relaxed) {
        sleep(LOOK_EVERY).await;
        let paths = ["/api/v1/executions?limit=50".to_owned(), format!("/api/v1/executions/{id}/logs?limit=100")];
        for path in paths.iter().filter(|path| !path.contains("//")) {
            let begun = Instant::now();
            let answer = client.get(path).await?;
            calls.push(begun.elapsed());
            if let Some(newest) = answer["data"][0]["id"].as_str() {
                newest.clone_into(&mut id);
            }
        }
    }
    Ok(calls)
}

/// Changes of state, one a request, each answered once it is durable.
pub(crate) fn changes(time: Duration) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (server, _) = Server::start(folder.path())?;
    let server = Arc::new(server);
    let changes = Arc::new(AtomicU64::new(0));
    let took = tokio::runtime::Runtime::new()?.block_on(async {
        let mut changers = JoinSet::new();
        let begun = Instant::now();
        for _ in 0..CHANGERS {
            let (server, changes) = (server.clone(), changes.clone());
            changers.spawn(async move {
                // Short jobs, one after the other: none has thousands of steps.
                while begun.elapsed() < time {
                    let mut job = Job::begin(&server, "changes").await?;
                    for step in 0..25 {
                        let name: Arc<str> = format!("step {step}").into();
                        let started = ExecutionEventKind::StepStarted {
                            name: name.clone(),
                            parameters: serde_json::Map::new(),
                            stop_on_error: false,
                            expected_duration: None,
                        };
                        job.send(vec![started]).await?;
                        job.send(vec![ExecutionEventKind::StepCompleted { name: Some(name) }]).await?;
                    }
                    // All events so far, and the last one.
                    changes.fetch_add(job.next, Ordering::Relaxed);
                    job.end().await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(changer) = changers.join_next().await {
            changer??;
        }
        anyhow::Ok(begun.elapsed())
    })?;
    let changes = changes.load(Ordering::Relaxed);
    ensure!(changes > 0, "nothing was changed");
    let mut table = markdown([&format!("{CHANGERS} connections, a change of state each request"), "measured", "asked"]);
    let per_second = format!("{:.0}", changes as f64 / took.as_secs_f64());
    table.add_row(["durable changes/s", &per_second, "5000"]);
    println!("{table}\n");
    Arc::into_inner(server).context("every changer has ended")?.stop()
}
