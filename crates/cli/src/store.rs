//! The store of the settings, for commands that need it for a moment, and servers by their addresses.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tallybook_backends::{Backend, Config};
use tallybook_core::{ErrorKind, Store};

use crate::settings::Settings;

/// What the holder's note in the lock file says before the address of its API.
const NOTE_BEFORE_ADDRESS: &str = "whose API is at ";
/// How long a store that is held is waited for: other commands hold it for a moment only.
const HELD_MAX: Duration = Duration::from_secs(2);
/// The time between two tries.
const HELD_LOOK: Duration = Duration::from_millis(5);

/// Opens the store for `holder`.
///
/// # Errors
/// One sentence: among others that another process holds the data folder, and which.
pub(crate) async fn open(settings: &Settings, holder: &str) -> tallybook_core::Result<Arc<dyn Store>> {
    let config = Config {
        use_db: settings.store.use_db,
        data_dir: settings.store.data_dir.clone(),
        database_url: settings.store.database_url.clone(),
        holder: holder.to_owned(),
    };
    tallybook_backends::open(&config).await
}

/// The same, but lets another command finish first.
///
/// # Errors
/// As [`open`].
pub(crate) async fn open_soon(settings: &Settings, holder: &str) -> tallybook_core::Result<Arc<dyn Store>> {
    let begun = Instant::now();
    loop {
        match open(settings, holder).await {
            Err(error) if is_held(settings, &error) && begun.elapsed() < HELD_MAX => {
                tokio::time::sleep(HELD_LOOK).await;
            }
            opened => return opened,
        }
    }
}

/// Whether a command holds the store that will let go of it by itself; a server will not.
fn is_held(settings: &Settings, error: &tallybook_core::Error) -> bool {
    error.kind() == ErrorKind::Unavailable
        && settings.store.use_db == Backend::Sqlite
        && holder_address(&settings.store.data_dir).is_none()
}

/// The address of the server that holds the data folder, from the note it left in the lock file.
pub(crate) fn holder_address(data_dir: &Path) -> Option<String> {
    let note = std::fs::read_to_string(data_dir.join("tallybook.lock")).ok()?;
    let (_, address) = note.split_once(NOTE_BEFORE_ADDRESS)?;
    let address = address.split([' ', ',', ')', '\n']).next()?;
    // A server that listens on every address answers on this machine's own.
    Some(address.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:"))
}

/// What `--server` names, without its last slash.
///
/// # Errors
/// One sentence when it is no address of a server.
pub(crate) fn server_address(address: &str) -> Result<String> {
    let address = address.trim_end_matches('/');
    let url = url::Url::parse(address).with_context(|| format!("--server {address} is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        bail!("--server {address} does not begin with http:// or https://");
    }
    Ok(address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_that_holds_the_data_folder_is_found_by_its_note() {
        let folder = tempfile::tempdir().unwrap();
        let address = |note: &str| {
            std::fs::write(folder.path().join("tallybook.lock"), note).unwrap();
            holder_address(folder.path())
        };
        let note = "12\ntallybook serve, whose API is at http://127.0.0.1:8090\n";
        assert_eq!(address(note).as_deref(), Some("http://127.0.0.1:8090"));
        let open = "12\ntallybook serve, whose API is at http://0.0.0.0:8090\n";
        assert_eq!(address(open).as_deref(), Some("http://127.0.0.1:8090"));
        assert_eq!(address("12\ntallybook ping\n"), None);
        assert_eq!(holder_address(&folder.path().join("none")), None);
    }
}
