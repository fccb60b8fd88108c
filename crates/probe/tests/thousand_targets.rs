//! The daemon under load, in a process of its own so that its use of the processor can be told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use tallybook_probe::{Daemon, ProbeOptions, Prober, TargetConfig};

const TARGETS: u64 = 1_000;
const ROUNDS: u64 = 2;

fn processor_seconds() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("every system counts");
    [usage.user_time(), usage.system_time()].iter().map(|t| t.tv_sec() as f64 + t.tv_usec() as f64 / 1e6).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_hosts_are_probed_each_second_without_a_loss_where_icmp_is_allowed() {
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
        let (interval, timeout) = (Duration::from_secs(1), Duration::from_secs(1));
        daemon.set(TargetConfig { id: number.to_string(), target, interval, timeout, enabled: true }).unwrap();
    }
    tokio::time::sleep_until((start + Duration::from_secs(ROUNDS)).into()).await;
    let (took, used) = (start.elapsed().as_secs_f64(), processor_seconds() - used);
    let probes = answered.load(Ordering::Relaxed);
    println!("{probes} probes in {took:.2} s with {:.1} % of a core", 100.0 * used / took);
    assert!(lost.lock().unwrap().is_empty(), "{:?}", lost.lock().unwrap().first());
    // A probe that is due in the last moments may not have been answered yet.
    assert!(probes >= TARGETS * ROUNDS * 98 / 100, "{probes}");
}
