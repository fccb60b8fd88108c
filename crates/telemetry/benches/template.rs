//! The template miner alone: lines a second on one core, over forty formats that real programs write.
//!
//! `cargo bench -p tallybook-telemetry --bench template`

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tallybook_telemetry::template::{Change, Miner, MinerOptions, Scratch};

/// Values that vary from line to line, the same ones in each run.
struct Values(u64);

impl Values {
    fn number(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    fn one_of<'a>(&mut self, set: &[&'a str]) -> &'a str {
        set[self.number(set.len() as u64) as usize]
    }

    fn hex(&mut self, length: usize) -> String {
        (0..length).map(|_| char::from(b"0123456789abcdef"[self.number(16) as usize])).collect()
    }

    fn ip(&mut self) -> String {
        format!("10.{}.{}.{}", self.number(256), self.number(256), self.number(256))
    }

    fn uuid(&mut self) -> String {
        format!("{}-{}-{}-{}-{}", self.hex(8), self.hex(4), self.hex(4), self.hex(4), self.hex(12))
    }

    fn time(&mut self) -> String {
        format!("{:02}:{:02}:{:02}", self.number(24), self.number(60), self.number(60))
    }

    fn date(&mut self) -> String {
        format!("2025-{:02}-{:02}", 1 + self.number(12), 1 + self.number(28))
    }

    fn user(&mut self) -> &'static str {
        const NAMES: &[&str] = &["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy"];
        self.one_of(NAMES)
    }

    fn path(&mut self) -> String {
        let kind = self.one_of(&["users", "orders", "carts", "products"]);
        format!("/api/v1/{kind}/{}", self.number(100_000))
    }

    fn pod(&mut self) -> String {
        let name = self.one_of(&["checkout", "payment", "frontend", "cart"]);
        format!("{name}-{}-{}", self.hex(9), self.hex(5))
    }
}

type Format = fn(&mut Values) -> String;

/// One list for each service, as each has a miner.
const SERVICES: &[(&str, &[Format])] = &[
    (
        "web",
        &[
            |v| {
                format!(
                    "{} - - [10/Oct/2025:{} +0000] \"GET {} HTTP/1.1\" 200 {}",
                    v.ip(),
                    v.time(),
                    v.path(),
                    v.number(9999)
                )
            },
            |v| format!("{} - {} \"POST {} HTTP/2\" 201 {}ms", v.ip(), v.user(), v.path(), v.number(900)),
            |v| {
                format!(
                    "GET {}?page={}&sort=name 200 {}B in {}ms",
                    v.path(),
                    v.number(50),
                    v.number(99_999),
                    v.number(500)
                )
            },
            |v| format!("request {} completed in {}.{}ms", v.uuid(), v.number(900), v.number(1000)),
            |v| format!("user={} action=login ip={} status=ok", v.user(), v.ip()),
            |v| format!("session {} for {}@example.com expired after {}m", v.hex(32), v.user(), v.number(90)),
            |v| {
                format!(
                    "upstream timed out (110: Connection timed out) while connecting to upstream, client: {}",
                    v.ip()
                )
            },
            |v| format!("rate limit exceeded for key {} ({} > 100 per minute)", v.hex(16), 101 + v.number(900)),
            |v| format!("User {} logged in from {}:{}", v.user(), v.ip(), 1024 + v.number(60_000)),
        ],
    ),
    (
        "database",
        &[
            |v| {
                format!(
                    "{} {}.{:03} UTC [{}] LOG:  duration: {}.{} ms  statement: SELECT id, name FROM orders WHERE id = {}",
                    v.date(),
                    v.time(),
                    v.number(1000),
                    v.number(99_999),
                    v.number(500),
                    v.number(1000),
                    v.number(1_000_000)
                )
            },
            |v| format!("connection received: host={} port={}", v.ip(), v.number(65_536)),
            |v| {
                format!(
                    "checkpoint complete: wrote {} buffers ({}.{}%); 0 WAL file(s) added, {} removed",
                    v.number(9999),
                    v.number(99),
                    v.number(10),
                    v.number(9)
                )
            },
            |v| {
                format!(
                    "automatic vacuum of table \"shop.public.{}\": index scans: {}",
                    v.one_of(&["orders", "users", "carts"]),
                    v.number(4)
                )
            },
            |v| {
                format!(
                    "duplicate key value violates unique constraint \"orders_pkey\" Key (id)=({})",
                    v.number(1_000_000)
                )
            },
            |v| {
                format!(
                    "deadlock detected: process {} waits for ShareLock on transaction {}",
                    v.number(99_999),
                    v.number(9_999_999)
                )
            },
            |v| format!("Slow query: {}ms rows={} db=shop user={}", v.number(9000), v.number(5000), v.user()),
            |_| "database system is ready to accept connections".to_owned(),
        ],
    ),
    (
        "kubernetes",
        &[
            |v| {
                format!(
                    "I1010 {}.{:06} {:>7} kubelet.go:{}] \"SyncLoop (PLEG): event for pod\" pod=\"shop/{}\" containerID=\"{}\"",
                    v.time(),
                    v.number(1_000_000),
                    v.number(99_999),
                    v.number(3000),
                    v.pod(),
                    v.hex(64)
                )
            },
            |v| format!("Successfully assigned shop/{} to node-{}", v.pod(), v.number(40)),
            |v| format!("Back-off restarting failed container app in pod {}_shop({})", v.pod(), v.uuid()),
            |v| {
                format!(
                    "Pulled image \"registry.local/shop/cart:v1.{}.{}\" in {}.{}s",
                    v.number(20),
                    v.number(20),
                    v.number(30),
                    v.number(10)
                )
            },
            |v| format!("Readiness probe failed: HTTP probe failed with statuscode: {}", 500 + v.number(5)),
            |v| format!("Scaled up replica set {} to {}", v.pod(), v.number(20)),
            |v| {
                format!(
                    "node-{} NodeHasSufficientMemory kubelet {}/{} MiB",
                    v.number(40),
                    v.number(16_000),
                    v.number(16_000)
                )
            },
            |v| {
                format!(
                    "level=info ts={}T{}Z caller=main.go:{} msg=\"Compaction done\" duration={}ms",
                    v.date(),
                    v.time(),
                    v.number(999),
                    v.number(9999)
                )
            },
        ],
    ),
    (
        "java",
        &[
            |v| {
                format!(
                    "{} {},{:03} INFO  [http-nio-8080-exec-{}] c.e.shop.OrderService - Order {} created for {}",
                    v.date(),
                    v.time(),
                    v.number(1000),
                    v.number(200),
                    v.number(1_000_000),
                    v.user()
                )
            },
            |v| {
                format!(
                    "{} {} WARN  [pool-{}-thread-{}] com.zaxxer.hikari.pool.HikariPool - HikariPool-1 - Thread starvation or clock leap detected (housekeeper delta={}s{}ms)",
                    v.date(),
                    v.time(),
                    v.number(9),
                    v.number(64),
                    v.number(60),
                    v.number(1000)
                )
            },
            |v| {
                format!(
                    "java.lang.IllegalStateException: cart {} is closed\n\tat com.example.shop.Cart.add(Cart.java:{})\n\tat com.example.shop.CartService.handle(CartService.java:{})\n\tat java.base/java.lang.Thread.run(Thread.java:840)",
                    v.number(99_999),
                    v.number(400),
                    v.number(400)
                )
            },
            |v| {
                format!(
                    "java.net.SocketTimeoutException: connect timed out after {} ms\n\tat java.base/sun.nio.ch.NioSocketImpl.timedFinishConnect(NioSocketImpl.java:{})\n\tat com.example.Client.call(Client.java:{})\nCaused by: java.io.IOException: reset",
                    v.number(9000),
                    v.number(700),
                    v.number(300)
                )
            },
            |v| {
                format!(
                    "GC pause (G1 Evacuation Pause) {}M->{}M({}M) {}.{}ms",
                    v.number(4000),
                    v.number(2000),
                    4096,
                    v.number(90),
                    v.number(1000)
                )
            },
            |v| {
                format!(
                    "Consumed message offset={} partition={} topic=orders lag={}",
                    v.number(9_999_999),
                    v.number(12),
                    v.number(5000)
                )
            },
            |v| {
                format!(
                    "Circuit breaker '{}' changed state from CLOSED to OPEN",
                    v.one_of(&["payment", "stock", "mail"])
                )
            },
            |v| {
                format!(
                    "Started ShopApplication in {}.{} seconds (process running for {}.{})",
                    v.number(9),
                    v.number(1000),
                    v.number(9),
                    v.number(1000)
                )
            },
        ],
    ),
    (
        "json",
        &[
            |v| {
                format!(
                    r#"{{"level":"info","ts":"{}T{}.{:03}Z","msg":"request","method":"GET","path":"{}","status":200,"ms":{},"ip":"{}"}}"#,
                    v.date(),
                    v.time(),
                    v.number(1000),
                    v.path(),
                    v.number(900),
                    v.ip()
                )
            },
            |v| {
                format!(
                    r#"{{"user":"{}","action":"add_to_cart","product":{},"price":{}.{}}}"#,
                    v.user(),
                    v.number(9999),
                    v.number(300),
                    v.number(100)
                )
            },
            |v| {
                format!(
                    r#"{{"event":"payment","id":"{}","amount":{},"currency":"EUR","ok":true}}"#,
                    v.uuid(),
                    v.number(9999)
                )
            },
            |v| {
                format!(
                    r#"{{"job":"reindex","ids":[{}, {}, {}],"took":"{}ms"}}"#,
                    v.number(999),
                    v.number(999),
                    v.number(999),
                    v.number(9999)
                )
            },
            |v| {
                format!(
                    "payload accepted {{id: {}, kind: {}, bytes: {}}}",
                    v.number(99_999),
                    v.one_of(&["full", "delta"]),
                    v.number(99_999)
                )
            },
            |v| {
                format!(
                    "cache miss key=user:{}:profile shard={} ttl={}s",
                    v.number(99_999),
                    v.number(16),
                    v.number(3600)
                )
            },
            |v| {
                format!(
                    "trace={} span={} flushed {} spans to https://collector.local/v1/traces",
                    v.hex(32),
                    v.hex(16),
                    v.number(512)
                )
            },
        ],
    ),
];

/// So many lines, the formats mixed, each with the place of its service.
fn corpus(lines: usize) -> Vec<(usize, String)> {
    let mut values = Values(7);
    (0..lines)
        .map(|_| {
            let service = values.number(SERVICES.len() as u64) as usize;
            let formats = SERVICES[service].1;
            let format = formats[values.number(formats.len() as u64) as usize];
            (service, format(&mut values))
        })
        .collect()
}

fn miners() -> Vec<Miner> {
    SERVICES.iter().map(|_| Miner::new(MinerOptions::default())).collect()
}

/// Routes every line and gives how many were known.
fn route_all(miners: &mut [Miner], scratch: &mut Scratch, corpus: &[(usize, String)]) -> usize {
    let mut known = |service: usize, body| miners[service].route(black_box(body), scratch).change == Change::Known;
    corpus.iter().filter(|(service, body)| known(*service, body)).count()
}

fn template(criterion: &mut Criterion) {
    let corpus = corpus(20_000);
    let mut group = criterion.benchmark_group("template");

    let mut scratch = Scratch::default();
    let mut warm = miners();
    route_all(&mut warm, &mut scratch, &corpus);
    assert_eq!(route_all(&mut warm, &mut scratch, &corpus), corpus.len(), "every line is known by now");
    group.throughput(Throughput::Elements(corpus.len() as u64));
    group.bench_function("route known lines", |bencher| bencher.iter(|| route_all(&mut warm, &mut scratch, &corpus)));
    group.bench_function("route from nothing", |bencher| {
        bencher.iter(|| route_all(&mut miners(), &mut scratch, &corpus));
    });

    for (service, &(name, _)) in SERVICES.iter().enumerate() {
        let lines: Vec<_> = corpus.iter().filter(|line| line.0 == service).cloned().collect();
        group.throughput(Throughput::Elements(lines.len() as u64));
        group.bench_function(format!("route known lines of {name}"), |bencher| {
            bencher.iter(|| route_all(&mut warm, &mut scratch, &lines));
        });
    }
    group.finish();
}

criterion_group!(benches, template);
criterion_main!(benches);
