//! The mirror, of which the server that feeds it knows.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tallybook_backends::Backend;
use tallybook_doctor::{Mirror, Report, Severity, examine_mirror};

use crate::remote::Remote;
use crate::settings::Settings;
use crate::store::holder_address;

const ANSWER_MAX: Duration = Duration::from_secs(5);
const CHECK: &str = "mirror";

/// Asks the server that holds the store; without one, nothing follows.
pub(super) async fn look(settings: &Settings, report: &mut Report) {
    let address = match settings.store.use_db {
        Backend::Sqlite => holder_address(&settings.store.data_dir),
        Backend::Postgres | Backend::Memory => Some(format!("http://{}", settings.network.api_addr)),
    };
    let answer = match &address {
        Some(address) => ask(address, settings).await,
        None => Err(anyhow::anyhow!("no server runs")),
    };
    let meaning = "what comes does not get into the mirror; it is made up for once it is followed";
    match answer {
        Ok(Value::Null) if settings.store.mirror_url.is_some() => {
            let said = "MIRROR_URL is set here, and the server that runs follows nothing";
            report.bad(Severity::Warning, CHECK, said, meaning, "start the server again, with MIRROR_URL");
        }
        Ok(Value::Null) => {}
        Ok(mirror) => examine_mirror(
            Mirror {
                target: mirror["target"].as_str().unwrap_or_default(),
                state: mirror["state"].as_str().unwrap_or_default(),
                lag: mirror["lag_seconds"].as_f64().and_then(|lag| Duration::try_from_secs_f64(lag).ok()),
                last_error: mirror["last_error"].as_str(),
            },
            report,
        ),
        Err(error) if settings.store.mirror_url.is_some() => {
            report.bad(Severity::Warning, CHECK, format!("{error:#}"), meaning, "tallybook serve");
        }
        // Where nobody asked for a mirror, nothing is missing.
        Err(_) => {}
    }
}

/// What the server says of its mirror; null where it has none.
async fn ask(address: &str, settings: &Settings) -> Result<Value> {
    let remote = Remote::new(address, settings.network.api_token.clone())?;
    let answer = async { anyhow::Ok(remote.get("stats", &[]).await?.json::<Value>().await?) };
    let stats = tokio::time::timeout(ANSWER_MAX, answer).await;
    Ok(stats.with_context(|| format!("the server at {address} does not answer"))??["mirror"].take())
}
