//! The command's arguments, and recording with a server.

use clap::{Args as _, Command, FromArgMatches as _};

use super::*;

fn options(arguments: &[&str]) -> Result<Options, clap::Error> {
    let command = Options::augment_args(Command::new("ping"));
    Options::from_arg_matches(&command.try_get_matches_from(["ping"].iter().chain(arguments))?)
}

fn targets(arguments: &[&str]) -> Vec<String> {
    options(arguments).unwrap().targets().unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn hosts_are_pinged_by_icmp_unless_told_otherwise_and_each_once() {
    assert_eq!(targets(&["a", "::1", "a", "tcp://a:22"]), ["a", "::1", "tcp://a:22"]);
    assert_eq!(targets(&["a", "::1", "--tcp", "443"]), ["tcp://a:443", "tcp://[::1]:443"]);
    assert_eq!(targets(&["--http", "https://a", "--http", "http://b/c"]), ["https://a/", "http://b/c"]);
    assert_eq!(targets(&["a", "--icmp", "--http", "http://b"]), ["a", "http://b/"]);
}

#[test]
fn bad_arguments_are_refused_with_the_reason() {
    let cases: [(&[&str], &str); 8] = [
        (&[], "required"),
        (&["a b"], "white space"),
        (&["a:80"], "tcp://HOST:PORT"),
        (&["a", "--tcp", "0"], "0"),
        (&["a", "--tcp", "80", "--icmp"], "cannot be used with"),
        (&["a", "--http", "b"], "http://"),
        (&["a", "--count", "0"], "0"),
        (&["a", "--interval", "soon"], "soon"),
    ];
    for (arguments, why) in cases {
        let error = options(arguments).err().unwrap_or_else(|| panic!("{arguments:?}")).to_string();
        assert!(error.contains(why), "{arguments:?}: {error}");
    }
    for arguments in [["a", "--interval", "9ms"], ["a", "--timeout", "0s"], ["a", "--timeout", "2m"]] {
        assert!(options(&arguments).unwrap().pace().is_err(), "{arguments:?}");
    }
}

/// A server that answers its first request with 503, the others well, and tells the bodies that it accepted.
async fn flaky_server() -> (String, mpsc::UnboundedReceiver<String>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, bodies) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut failed = false;
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            let body = loop {
                let _ = stream.read_buf(&mut request).await;
                let text = String::from_utf8_lossy(&request).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                assert!(head.starts_with("POST /api/v1/pings ") && head.contains("Bearer secret"), "{head}");
                if head.contains(&format!("content-length: {}", body.len())) {
                    break body.to_owned();
                }
            };
            let status = if failed { "200 OK" } else { "503 Service Unavailable" };
            let answer =
                format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 15\r\n\r\n{{\"rejected\": 0}}");
            let _ = stream.write_all(answer.as_bytes()).await;
            if failed {
                let _ = sender.send(body);
            }
            failed = true;
        }
    });
    (address, bodies)
}

#[tokio::test]
async fn pings_reach_a_server_that_was_away_for_a_moment() {
    let (address, mut bodies) = flaky_server().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("tcp://{}", listener.local_addr().unwrap());
    let arguments =
        [&target, "--server", &address, "--token", "secret", "--count", "2", "--interval", "10ms", "--json"];
    let code = ping(&options(&arguments).unwrap()).await.unwrap();
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
    let mut lines = Vec::new();
    while let Ok(body) = bodies.try_recv() {
        lines.extend(body.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()));
    }
    assert_eq!(lines.iter().map(|line| &line["sequence"]).collect::<Vec<_>>(), [1, 2]);
    assert!(
        lines.iter().all(|line| line["target"] == *target && line["success"] == true && line["latency_ms"].is_f64())
    );
}

#[tokio::test]
async fn pings_that_a_server_refuses_are_an_error_that_counts_them() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4_096]).await;
            let _ =
                stream.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        }
    });
    let (target, server) = (format!("tcp://{address}"), format!("http://{address}"));
    let error = ping(&options(&[&target, "--server", &server, "--count", "1"]).unwrap()).await.unwrap_err().to_string();
    assert!(error.starts_with("1 of 1 pings could not be recorded:") && error.contains("401"), "{error}");
}
