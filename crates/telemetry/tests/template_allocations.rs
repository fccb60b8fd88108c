//! In a test binary of its own: it counts what the allocator is asked for.

use allocation_counter::measure;
use tallybook_telemetry::template::{Change, Miner, MinerOptions, Scratch};

#[test]
fn routing_a_known_line_allocates_nothing() {
    let mut miner = Miner::new(MinerOptions::default());
    let mut scratch = Scratch::default();
    for body in [
        "2024-01-02 03:04:05 user alice took 15ms; path=/a/b",
        "2024-01-02 03:04:05 user bob took 15ms; path=/a/b",
        r#"{"user":"carol","action":"login","from":"10.0.0.1"}"#,
        r#"{"user":"dave","action":"login","from":"10.0.0.1"}"#,
        "a request of the longest kind that there is in this test, so that the buffers are large enough from here on",
    ] {
        miner.route(body, &mut scratch);
    }
    let known = [
        "2025-11-12 13:14:15 user erin took 7s; path=/c",
        "<*> user <*> took <*>; path=<*>",
        r#"{"user":"frank","action":"login","from":"10.0.0.2"}"#,
    ];
    let mut changes = [const { None }; 3];
    let asked = measure(|| {
        for (change, body) in changes.iter_mut().zip(known) {
            *change = Some(miner.route(body, &mut scratch).change);
        }
    });
    assert_eq!(changes, [const { Some(Change::Known) }; 3]);
    assert_eq!(asked.count_total, 0);

    let asked = measure(|| drop(miner.route("not known", &mut scratch)));
    assert!(asked.count_total > 0, "a new template allocates");
}
