//! The OpenAPI document is true: a property-based fuzzer that reads it finds nothing that it does not say.

use anyhow::Result;
use tallybook_tests::server::Server;
use tallybook_tests::setup::Setup;
use tallybook_tests::tools;

/// Requests the fuzzer makes up for each address, in each of its phases.
const EXAMPLES: &str = "25";
/// The same every time: a find can be repeated.
const SEED: &str = "2";
/// The operations that take records.
const TAKERS: [&str; 3] = ["post_ticks", "post_pings", "post_execution_events"];
/// Data points that the demo has sent before the fuzzer begins.
const DEMO_RECORDS: u64 = 1_000;

#[tokio::test]
async fn a_fuzzer_finds_no_server_error_and_nothing_undocumented() -> Result<()> {
    let setup = Setup::new()?.with("USE_DB", "memory").argument("--demo");
    let server = setup.start().await?;
    server.wait_for_records(DEMO_RECORDS).await?;
    // It cannot write NDJSON, which is all that a stream takes, and would wait for the end of an execution that it follows.
    fuzz(
        &setup,
        &server,
        &[
            "--exclude-operation-id",
            "stream_ticks",
            "--exclude-operation-id",
            "follow_log_lines",
            "--exclude-operation-id",
            TAKERS[0],
            "--exclude-operation-id",
            TAKERS[1],
            "--exclude-operation-id",
            TAKERS[2],
            "--exclude-checks",
            "positive_data_acceptance",
        ],
    )
    .await?;
    // Records are told one by one whether they can be stored, with a 200 for the request.
    let takers: Vec<&str> = TAKERS.iter().flat_map(|taker| ["--include-operation-id", *taker]).collect();
    fuzz(
        &setup,
        &server,
        &[takers.as_slice(), &["--exclude-checks", "negative_data_rejection,positive_data_acceptance"]].concat(),
    )
    .await?;
    server.stop().await
}

async fn fuzz(setup: &Setup, server: &Server, arguments: &[&str]) -> Result<()> {
    let mut command = tools::python()?;
    command
        .args(["-m", "schemathesis.cli", "run", "--no-color", "--workers", "1"])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--seed", SEED])
        // These judge how easily and how fast it makes up requests, not what the server answers.
        .args(["--suppress-health-check", "filter_too_much,too_slow,data_too_large"])
        // Which texts are the `next` of a page is beyond a schema: others are refused, with a status that is documented.
        .args(["--checks", "all", "--request-timeout", "60"])
        .args(arguments)
        .arg(format!("http://{}/api/v1/openapi.json", server.addresses.api))
        // It keeps what it found in its working folder.
        .current_dir(setup.home());
    tools::run(command).await?;
    Ok(())
}
