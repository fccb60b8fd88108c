//! The OpenAPI document is true: a property-based fuzzer that reads it finds nothing that it does not say.

use anyhow::Result;
use tallybook_tests::setup::Setup;
use tallybook_tests::tools;

/// Requests the fuzzer makes up for each address, in each of its phases.
const EXAMPLES: &str = "25";
/// The same every time: a find can be repeated.
const SEED: &str = "2";
/// Data points that the demo has sent before the fuzzer begins.
const DEMO_RECORDS: u64 = 1_000;

#[tokio::test]
async fn a_fuzzer_finds_no_server_error_and_nothing_undocumented() -> Result<()> {
    let setup = Setup::new()?.with("USE_DB", "memory").argument("--demo");
    let server = setup.start().await?;
    server.wait_for_records(DEMO_RECORDS).await?;
    let mut command = tools::python()?;
    command
        .args(["-m", "schemathesis.cli", "run", "--no-color", "--workers", "1"])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--seed", SEED])
        // Which texts are the `next` of a page is beyond a schema: others are refused, with a status that is documented.
        .args(["--checks", "all", "--exclude-checks", "positive_data_acceptance", "--request-timeout", "10"])
        .arg(format!("http://{}/api/v1/openapi.json", server.addresses.api))
        // It keeps what it found in its working folder.
        .current_dir(setup.home());
    tools::run(command).await?;
    server.stop().await
}
