//! Starts that cannot go well: one clear sentence and a non-zero exit.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use anyhow::Result;
use tallybook_tests::otlp::{Signal, log, logs};
use tallybook_tests::server::Encoding;
use tallybook_tests::setup::Setup;
use tallybook_tests::tools::tallybook;

#[tokio::test]
async fn a_port_in_use_is_named_with_its_setting() -> Result<()> {
    for setting in ["OTLP_GRPC_ADDR", "OTLP_HTTP_ADDR", "API_ADDR"] {
        let taken = TcpListener::bind("127.0.0.1:0")?;
        let address = taken.local_addr()?.to_string();
        let setup = Setup::new()?.with(setting, &address);
        setup.start_refused().await?.says(&[setting, &address, "in use"])?;
    }
    Ok(())
}

#[tokio::test]
async fn a_second_process_on_the_same_folder_is_refused() -> Result<()> {
    let first = Setup::new()?;
    let server = first.start().await?;
    let second = Setup::new()?.data_in(first.data_dir());
    second.start_refused().await?.says(&[&first.data_dir().to_string_lossy(), "uses the data folder"])?;
    server.send(&logs("checkout", vec![log("still here")])).await?;
    assert_eq!(server.list("services").await?.len(), 1);
    server.stop().await
}

#[test]
fn a_reader_that_goes_away_is_no_fault() -> Result<()> {
    let setup = Setup::new()?;
    for arguments in [["config", "--json"], ["sql", "SELECT 1"], ["backups", "--json"]] {
        let (reader, writer) = std::io::pipe()?;
        drop(reader);
        let mut command = Command::new(tallybook()?);
        let ended = command.args(arguments).current_dir(setup.home()).stdout(writer).output()?;
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn an_unknown_backend_is_answered_with_those_there_are() -> Result<()> {
    let setup = Setup::new()?.with("USE_DB", "mongo");
    setup.start_refused().await?.says(&["mongo", "sqlite", "memory"])
}

#[tokio::test]
async fn an_unknown_key_in_the_settings_file_is_named() -> Result<()> {
    let setup = Setup::new()?;
    fs::write(setup.home().join("tallybook.toml"), "use_database = \"sqlite\"\n")?;
    setup.start_refused().await?.says(&["tallybook.toml", "use_database"])
}

#[tokio::test]
async fn an_address_beyond_loopback_needs_a_token() -> Result<()> {
    for setting in ["OTLP_GRPC_ADDR", "OTLP_HTTP_ADDR", "API_ADDR"] {
        let setup = Setup::new()?.with(setting, "0.0.0.0:0");
        setup.start_refused().await?.says(&[setting, "API_TOKEN"])?;
    }
    Ok(())
}

#[tokio::test]
async fn a_token_is_asked_of_every_client() -> Result<()> {
    let setup = Setup::new()?.with("API_TOKEN", "token-of-the-tests");
    let server = setup.start().await?;
    assert_eq!(server.get("/api/v1/services").await?.status, 401);
    assert_eq!(server.get("/metrics").await?.status, 401);
    assert_eq!(server.post(Signal::Logs, Encoding::Protobuf, None, "").await?.status, 401);
    assert_eq!(server.call(Signal::Logs, None, b"").await?.grpc_code()?, 16, "UNAUTHENTICATED");
    server.stop().await
}
