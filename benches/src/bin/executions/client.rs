//! One connection over HTTP/1.1, as a runner elsewhere keeps it.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use tallybook_core::ExecutionEvent;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;

pub(crate) struct Client {
    stream: BufStream<TcpStream>,
    address: SocketAddr,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufStream::new(stream), address })
    }

    /// Sends events of an execution; answered once they are durable.
    pub(crate) async fn events(&mut self, id: &str, events: &[ExecutionEvent]) -> Result<()> {
        let mut body = Vec::new();
        for event in events {
            serde_json::to_writer(&mut body, event)?;
            body.push(b'\n');
        }
        self.call("POST", &format!("/api/v1/executions/{id}/events"), &body).await.map(drop)
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<serde_json::Value> {
        Ok(serde_json::from_slice(&self.call("GET", path, b"").await?)?)
    }

    async fn call(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Vec<u8>> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        self.stream.write_all(head.as_bytes()).await?;
        self.stream.write_all(body).await?;
        self.stream.flush().await?;
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        let status: u16 = line.get(9..12).context("a status line")?.parse()?;
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line).await?;
            let header = line.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await?;
        if !(200..300).contains(&status) {
            bail!("{method} {path} answered {status}: {}", String::from_utf8_lossy(&answer));
        }
        Ok(answer)
    }
}
