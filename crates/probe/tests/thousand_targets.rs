//! The daemon under load, in a process of its own so that its use of the processor can be told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use tallybook_probe::{Daemon, ProbeOptions, Prober, TargetConfig};

const TARGETS: u64 = 1_000;
const ROUNDS: u64 = 2;
const INTERVAL: Duration = Duration::from_secs(1);
/// Of each probe, and of all of them: costs nothing unless the machine has no time.
const PATIENCE: Duration = Duration::from_secs(60);

fn processor_seconds() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("every system counts");
    [usage.user_time(), usage.system_time()].iter().map(|t| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_core_has_time_for_a_thousand_hosts_each_second_and_none_is_lost_where_icmp_is_allowed() {
    let prober = Prober::new(ProbeOptions::default()).unwrap();
    let icmp = prober.check(&"127.0.0.1".parse().unwrap());
    if let Err(error) = icmp {
        assert!(error.to_string().contains("ping_group_range"), "{error}");
        return;
    }
    let answered = Arc::new(AtomicU64::new(0));
    let lost = Arc::new(Mutex::new(Vec::new()));
    let (count, losses) = (answered.clone(), lost.clone());
    let daemon = Daemon::start(prober, move |ping| {
        if ping.success {
            count.fetch_add(1, Ordering::Relaxed);
        } else {
            losses.lock().unwrap().push(ping);
        }
    });
    let (start, used) = (Instant::now(), processor_seconds());
    for number in 0..TARGETS {
        let target = format!("127.1.{}.{}", number / 250, number % 250 + 1).parse().unwrap();
        let config =
            TargetConfig { id: number.to_string(), target, interval: INTERVAL, timeout: PATIENCE, enabled: true };
        daemon.set(config).unwrap();
    }
    while answered.load(Ordering::Relaxed) < TARGETS * ROUNDS {
        assert!(start.elapsed() < PATIENCE, "{} probes", answered.load(Ordering::Relaxed));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (took, used) = (start.elapsed(), processor_seconds() - used);
    println!("{TARGETS} targets {ROUNDS} times in {took:?} with {used:.2} s of a core");
    assert!(lost.lock().unwrap().is_empty(), "{:?}", lost.lock().unwrap().first());
    // Whatever else the machine does: none is probed before its time, and a core has time for all of them.
    assert!(took >= INTERVAL * (ROUNDS as u32 - 1), "{took:?}");
    assert!(used < (INTERVAL * ROUNDS as u32).as_secs_f64(), "{used} s");
}
