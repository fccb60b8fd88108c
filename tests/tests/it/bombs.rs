//! Small requests that unfold to gigabytes.

use std::io::Write as _;

use anyhow::Result;
use flate2::{Compress, Compression, FlushCompress};
use tallybook_tests::otlp::{Signal, log, logs};
use tallybook_tests::server::{Encoding, Server};
use tallybook_tests::setup::Setup;

const MIB: usize = 1024 * 1024;
/// What each bomb unfolds to, unless it is stopped.
const UNFOLDED_MIB: usize = 4 * 1024;
/// What the server unfolds at the most, its default.
const LIMIT_MIB: u64 = 64;
/// What the server may hold beside that.
const MEMORY_MIB: u64 = LIMIT_MIB * 2 + 100;

#[tokio::test]
async fn a_bomb_over_http_is_too_large_and_costs_no_memory() -> Result<()> {
    let setup = Setup::new()?.with("USE_DB", "memory");
    let server = setup.start().await?;
    for (compression, bomb) in [("gzip", gzip_bomb()?), ("deflate", zlib_bomb()?), ("zstd", zstd_bomb()?)] {
        assert!(bomb.len() < 5 * MIB, "{compression}: {}", bomb.len());
        for encoding in Encoding::ALL {
            let answer = server.post(Signal::Logs, encoding, Some(compression), bomb.clone()).await?;
            assert_eq!(answer.status, 413, "{compression}, {encoding:?}: {}", answer.text());
            assert_eq!(answer.header("content-type"), Some(encoding.content_type()));
            assert!(!answer.rpc_status()?.message.is_empty());
        }
    }
    lives_in_little_memory(server).await
}

#[tokio::test]
async fn a_bomb_over_grpc_is_too_large_and_costs_no_memory() -> Result<()> {
    let setup = Setup::new()?.with("USE_DB", "memory");
    let server = setup.start().await?;
    for (compression, bomb) in [("gzip", gzip_bomb()?), ("zstd", zstd_bomb()?)] {
        let answer = server.call(Signal::Traces, Some(compression), &bomb).await?;
        let code = answer.grpc_code()?;
        assert!([8, 11].contains(&code), "{compression}: {code} {:?}", answer.header("grpc-message"));
    }
    lives_in_little_memory(server).await
}

/// A kilobyte of gzip holds a megabyte at the most; more takes a gzip in a gzip.
#[tokio::test]
async fn a_kilobyte_of_nested_gzip_is_refused() -> Result<()> {
    let setup = Setup::new()?.with("USE_DB", "memory");
    let server = setup.start().await?;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&gzip_bomb()?)?;
    let nested = encoder.finish()?;
    assert!(nested.len() < 16 * 1024, "{}", nested.len());
    for _ in 0..10 {
        let answer = server.post(Signal::Metrics, Encoding::Protobuf, Some("gzip, gzip"), nested.clone()).await?;
        assert!([413, 415].contains(&answer.status), "{}: {}", answer.status, answer.text());
    }
    lives_in_little_memory(server).await
}

#[tokio::test]
async fn a_body_over_the_limit_is_too_large_and_is_not_kept() -> Result<()> {
    let setup = Setup::new()?.with("USE_DB", "memory").with("OTLP_MAX_BODY", "1MiB");
    let server = setup.start().await?;
    let answer = server.post(Signal::Logs, Encoding::Protobuf, None, vec![0; 2 * MIB]).await?;
    assert_eq!(answer.status, 413, "{}", answer.text());
    let code = server.call(Signal::Logs, None, &vec![0; 2 * MIB]).await?.grpc_code()?;
    assert!([8, 11].contains(&code), "{code}");
    lives_in_little_memory(server).await
}

async fn lives_in_little_memory(server: Server) -> Result<()> {
    server.send(&logs("checkout", vec![log("still here")])).await?;
    let peak = server.peak_memory_mib()?;
    assert!(peak < MEMORY_MIB, "the server held {peak} MiB");
    server.stop().await
}

/// Zeros, deflated. After a full flush nothing refers to what was before, so one megabyte is deflated and then repeated.
fn deflated_zeros(zlib_header: bool) -> Result<Vec<u8>> {
    let zeros = vec![0; MIB];
    let mut compress = Compress::new(Compression::best(), zlib_header);
    let mut deflate = |flush| -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(64 * 1024);
        compress.compress_vec(&zeros, &mut out, flush)?;
        Ok(out)
    };
    let mut out = deflate(FlushCompress::Full)?;
    let megabyte = deflate(FlushCompress::Full)?;
    for _ in 2..UNFOLDED_MIB {
        out.extend_from_slice(&megabyte);
    }
    out.extend(deflate(FlushCompress::Finish)?);
    Ok(out)
}

fn zlib_bomb() -> Result<Vec<u8>> {
    deflated_zeros(true)
}

fn gzip_bomb() -> Result<Vec<u8>> {
    let mut bomb = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    bomb.extend(deflated_zeros(false)?);
    // The checksum, which only a server that unfolds everything would find wrong, and the length.
    bomb.extend([0; 4]);
    bomb.extend(((UNFOLDED_MIB * MIB) as u32).to_le_bytes());
    Ok(bomb)
}

fn zstd_bomb() -> Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1)?;
    let zeros = vec![0; MIB];
    for _ in 0..UNFOLDED_MIB {
        encoder.write_all(&zeros)?;
    }
    Ok(encoder.finish()?)
}
