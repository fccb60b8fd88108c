//! Real probes of this machine.

use std::time::Duration;

use tallybook_core::Ping;
use tallybook_probe::{ProbeError, ProbeOptions, Prober, Target};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::timeout;

/// For what is answered on a machine that has time: costs nothing unless it has none.
const PATIENCE: Duration = Duration::from_secs(60);

fn prober() -> Prober {
    Prober::new(ProbeOptions { timeout: PATIENCE, ..ProbeOptions::default() }).expect("that is within the limits")
}

fn target(text: &str) -> Target {
    text.parse().expect("a target")
}

fn assert_lost(ping: &Ping, why: &str) {
    assert!(!ping.success && ping.latency.is_none(), "{ping:?}");
    assert_eq!(ping.defect(), None);
    assert!(ping.error.as_ref().is_some_and(|error| error.contains(why)), "{ping:?}");
}

fn assert_answered(ping: &Ping) {
    assert!(ping.success && ping.error.is_none(), "{ping:?}");
    assert_eq!(ping.defect(), None);
    assert!(ping.latency.is_some());
}

/// Where ICMP is allowed, a host of this machine answers; where it is not, the error says what to do.
async fn ping_or_say_what_to_do(host: &str) {
    let prober = prober();
    match prober.check(&target(host)) {
        Ok(()) => {
            let ping = prober.probe(&target(host)).await;
            assert_answered(&ping);
            assert_eq!((ping.ttl, ping.packet_size, ping.target.as_ref()), (Some(64), Some(56), host));
        }
        Err(error @ ProbeError::NotPermitted) => {
            let sentence = error.to_string();
            assert!(sentence.contains("ping_group_range") && sentence.contains("setcap"), "{sentence}");
            assert_lost(&prober.probe(&target(host)).await, "ping_group_range");
        }
        Err(error) => {
            assert!(host.contains(':'), "{error}");
            assert!(error.to_string().contains("ICMP over IPv6 is not available"), "{error}");
        }
    }
}

#[tokio::test]
async fn loopback_answers_icmp_over_ipv4_where_root_or_ping_group_range_allows_it() {
    ping_or_say_what_to_do("127.0.0.1").await;
}

#[tokio::test]
async fn loopback_answers_icmp_over_ipv6_where_root_or_ping_group_range_allows_it() {
    ping_or_say_what_to_do("::1").await;
}

#[tokio::test]
async fn packets_of_every_size_come_back_where_icmp_is_allowed() {
    for packet_size in [8, 9, 1_472, 65_507] {
        let prober = Prober::new(ProbeOptions { packet_size, timeout: PATIENCE }).unwrap();
        if prober.check(&target("127.0.0.1")).is_err() {
            return ping_or_say_what_to_do("127.0.0.1").await;
        }
        let ping = prober.probe(&target("127.0.0.1")).await;
        assert_answered(&ping);
        assert_eq!(ping.packet_size, Some(packet_size as u64));
    }
    for packet_size in [0, 7, 65_508] {
        let error = Prober::new(ProbeOptions { packet_size, ..ProbeOptions::default() }).unwrap_err();
        assert!(error.to_string().contains("not from 8 to 65507"), "{error}");
    }
}

#[tokio::test]
async fn a_name_is_resolved_and_one_that_does_not_exist_is_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    assert_answered(&prober().probe(&target(&format!("tcp://localhost:{port}"))).await);
    assert_lost(&prober().probe(&target("tcp://nobody.invalid:80")).await, "its name ");
}

#[tokio::test]
async fn a_tcp_port_that_listens_answers_and_a_closed_one_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = target(&format!("tcp://{}", listener.local_addr().unwrap()));
    let ping = prober().probe(&target).await;
    assert_answered(&ping);
    assert_eq!((ping.ttl, ping.packet_size), (None, None));
    // Nobody else may have the port meanwhile: it is taken, and does not listen.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let target = self::target(&format!("tcp://{}", closed.local_addr().unwrap()));
    assert_lost(&prober().probe(&target).await, "refused");
}

#[tokio::test]
async fn a_host_that_hangs_is_lost_after_the_time_limit_and_delays_no_other() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hanging = target(&format!("http://{}/", listener.local_addr().unwrap()));
    let (prober, closed) = (prober(), target("tcp://127.0.0.1:1"));
    tokio::select! {
        biased;
        _ = prober.probe(&hanging) => panic!("it hangs"),
        quick = prober.probe(&closed) => assert_lost(&quick, "refused"),
    }
    let limit = Duration::from_millis(300);
    let lost = timeout(PATIENCE, prober.probe_within(&hanging, limit)).await.expect("the limit holds");
    assert_lost(&lost, "no answer within 300ms");
}

/// An HTTP server that gives this answer to everybody.
async fn http_server(answer: &'static str) -> Target {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4_096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    target(&format!("http://{address}/health"))
}

#[tokio::test]
async fn an_http_answer_below_400_is_one_and_any_other_is_lost_with_its_status() {
    let prober = prober();
    let ok = http_server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    assert_answered(&prober.probe(&ok).await);
    assert_answered(&prober.probe(&ok).await);
    let moved = http_server("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n").await;
    assert_answered(&prober.probe(&moved).await);
    let broken = http_server("HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n").await;
    assert_lost(&prober.probe(&broken).await, "it answered 500 Internal Server Error");
    let nonsense = http_server("SSH-2.0-OpenSSH_9.6\r\n").await;
    assert_lost(&prober.probe(&nonsense).await, "");
}
