//! The daemon with hosts that answer as told, on a clock that stands still.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::*;

fn config(id: &str, interval: Duration) -> TargetConfig {
    TargetConfig {
        id: id.to_owned(),
        target: "192.0.2.1".parse().unwrap(),
        interval,
        timeout: Duration::from_secs(1),
        enabled: true,
    }
}

fn ping(target: &Target, success: bool) -> Ping {
    Ping::new(target.name().clone(), Timestamp::now(), success.then_some(1_000))
}

/// A daemon whose hosts answer as long as the flag says so, and the moments of its pings.
fn scripted() -> (Daemon, Arc<AtomicBool>, mpsc::UnboundedReceiver<(Instant, Ping)>) {
    let up = Arc::new(AtomicBool::new(true));
    let answers = up.clone();
    let (sender, pings) = mpsc::unbounded_channel();
    let daemon = Daemon::with(
        move |target, _| {
            let ping = ping(&target, answers.load(Ordering::SeqCst));
            Box::pin(async move { ping })
        },
        move |ping| {
            let _ = sender.send((Instant::now(), ping));
        },
    );
    (daemon, up, pings)
}

#[tokio::test(start_paused = true)]
async fn pauses_double_while_a_target_is_down_and_end_with_its_first_answer() {
    let (daemon, up, mut pings) = scripted();
    daemon.set(config("a", Duration::from_secs(10))).unwrap();
    let mut before = pings.recv().await.unwrap().0;
    let mut pauses = Vec::new();
    for answers in [true, false, false, false, false, false, false, false, true, true] {
        up.store(answers, Ordering::SeqCst);
        let (now, ping) = pings.recv().await.unwrap();
        assert_eq!(ping.success, answers);
        pauses.push((now - before).as_secs_f64().round() as u64);
        before = now;
    }
    assert_eq!(pauses, [10, 10, 20, 40, 80, 160, 300, 300, 300, 10]);
}

#[tokio::test(start_paused = true)]
async fn its_list_tells_how_each_target_does() {
    let (daemon, up, mut pings) = scripted();
    up.store(false, Ordering::SeqCst);
    daemon.set(config("b", Duration::from_secs(1))).unwrap();
    daemon.set(TargetConfig { enabled: false, ..config("a", Duration::from_secs(1)) }).unwrap();
    for _ in 0..3 {
        pings.recv().await.unwrap();
    }
    sleep(Duration::from_millis(1)).await;
    let [a, b] = daemon.list().try_into().unwrap();
    assert_eq!((a.config.id.as_str(), a.consecutive_failures, a.next_at), ("a", 0, None));
    assert_eq!((b.config.id.as_str(), b.consecutive_failures), ("b", 3));
    assert_eq!(b.last.unwrap().sequence, Some(3));
    assert!(b.next_at.unwrap() > Timestamp::now());
}

#[tokio::test(start_paused = true)]
async fn targets_are_changed_and_removed_while_it_runs() {
    let (daemon, _, mut pings) = scripted();
    let slow = config("a", Duration::from_secs(3_600));
    daemon.set(slow.clone()).unwrap();
    pings.recv().await.unwrap();
    daemon.set(slow).unwrap();
    sleep(Duration::from_millis(1)).await;
    assert!(daemon.list()[0].last.is_some(), "one that stays as it is goes on undisturbed");

    let changed = Instant::now();
    daemon.set(config("a", Duration::from_secs(1))).unwrap();
    let (now, ping) = pings.recv().await.unwrap();
    assert!(now - changed <= Duration::from_secs(1));
    assert_eq!(ping.sequence, Some(1));

    assert!(daemon.remove("a"));
    assert!(!daemon.remove("a"));
    sleep(Duration::from_secs(60)).await;
    assert!(pings.try_recv().is_err(), "a removed target is probed no more");
    daemon.set(config("a", Duration::from_secs(1))).unwrap();
    drop(daemon);
    assert!(pings.recv().await.is_none(), "nothing runs on without the daemon");
}

#[tokio::test]
async fn a_pace_outside_the_limits_is_refused_and_changes_nothing() {
    let (daemon, ..) = scripted();
    let good = config("a", Duration::from_secs(1));
    for bad in [
        TargetConfig { interval: Duration::ZERO, ..good.clone() },
        TargetConfig { interval: Duration::MAX, ..good.clone() },
        TargetConfig { timeout: Duration::ZERO, ..good.clone() },
        TargetConfig { timeout: Duration::MAX, ..good.clone() },
    ] {
        assert!(matches!(daemon.set(bad), Err(ProbeError::Setting(_))));
    }
    assert!(daemon.list().is_empty());
}
