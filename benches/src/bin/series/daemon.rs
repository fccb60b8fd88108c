//! What a server costs that probes a thousand targets each second and stores the answers.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tallybook_benches::server::Server;

use crate::report::{Asked, Report};

const TARGETS: u64 = 1_000;
const SETTLING: Duration = Duration::from_secs(3);
const MEASURED: Duration = Duration::from_secs(15);

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (server, _) = Server::start(folder.path())?;
    for number in 0..TARGETS {
        let body = format!(r#"{{"target": "127.1.{}.{}", "interval_ms": 1000}}"#, number / 250, number % 250 + 1);
        let (status, answer) = server.post("/api/v1/ping/targets", "application/json", body.as_bytes())?;
        ensure!(status == 201, "a target was refused with {status}: {}", String::from_utf8_lossy(&answer));
    }
    thread::sleep(SETTLING);
    let (stored, cpu, started) = (stored(&server)?, server.cpu()?, Instant::now());
    thread::sleep(MEASURED);
    let (cpu, took) = (server.cpu()?.saturating_sub(cpu), started.elapsed());
    let pings = self::stored(&server)? - stored;
    server.stop()?;
    report.add("pings/s of 1,000 targets probed each second", pings as f64 / took.as_secs_f64(), Asked::Nothing);
    let share = 100.0 * cpu.as_secs_f64() / took.as_secs_f64();
    report.add("% of a core for probing and storing them", share, Asked::AtMost(10.0));
    Ok(())
}

/// Pings that are committed.
fn stored(server: &Server) -> Result<u64> {
    let (status, body) = server.get("/api/v1/stats")?;
    ensure!(status == 200, "the statistics answered {status}");
    let stats: serde_json::Value = serde_json::from_slice(&body)?;
    Ok(stats["families"]["ping"]["stored"].as_u64().unwrap_or_default())
}
