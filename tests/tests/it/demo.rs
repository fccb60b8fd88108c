//! What a newcomer sees first: the demo, `top`, and help.

use anyhow::Result;
use serde_json::Value;
use tallybook_tests::setup::Setup;
use tallybook_tests::tools;

#[tokio::test]
async fn the_demo_is_five_services_and_top_shows_the_worst_of_them() -> Result<()> {
    let setup = Setup::new()?.with("USE_DB", "memory").argument("--demo");
    let server = setup.start().await?;
    server.wait_for_records(1_000).await?;
    assert_eq!(server.list("services").await?.len(), 5);
    for list in ["metrics", "spans", "logs/templates", "cardinality/high"] {
        assert!(!server.list(list).await?.is_empty(), "{list}");
    }

    let top = async |format: &str| {
        let mut command = tokio::process::Command::new(tools::tallybook()?);
        command.args(["top", format, "--server", &format!("http://{}", server.addresses.api)]).env_clear();
        tools::run(command).await
    };
    let worst: Value = serde_json::from_str(&top("--json").await?)?;
    let table = top("--once").await?;
    for (panel, name) in [("attributes", "key"), ("metrics", "name"), ("templates", "template")] {
        assert!(worst[panel][0][name].is_string(), "{panel}: {worst}");
    }
    // A wide column may be folded; the service of the first template is not.
    assert!(table.contains(worst["templates"][0]["service"].as_str().unwrap_or_default()), "{table}");
    server.stop().await
}

#[tokio::test]
async fn help_is_of_the_command_and_points_to_the_rest() -> Result<()> {
    let setup = Setup::new()?;
    let serve = setup.run(&["serve", "--help"]).await?.ended_with(0)?;
    assert!(serve.contains("--data-dir") && serve.contains("--max-services"), "{serve}");
    let run = setup.run(&["run", "--help"]).await?.ended_with(0)?;
    assert!(run.contains("--data-dir") && !run.contains("--max-services"), "{run}");
    assert!(run.contains("tallybook run -- make test") && run.contains("tallybook serve --help"), "{run}");
    Ok(())
}
