//! Runs the cases, each over a store of its own.

use std::fmt;
use std::future::Future;
use std::panic::resume_unwind;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use libtest_mimic::{Arguments, Trial};
use tallybook_core::{Info, Result, Store};
use tokio::runtime::Runtime;

use crate::cases::{self, Case};

/// A case that takes longer hangs.
const CASE_TIME_LIMIT: Duration = Duration::from_secs(300);

/// Where the store of one case keeps its data: a folder, a database, nothing. Dropped when the case is over.
#[async_trait]
pub trait Place: fmt::Debug + Send + Sync + 'static {
    /// Opens the store that lives here. At first it is empty; once closed and opened again it holds what it held, if it is
    /// persistent.
    ///
    /// # Errors
    /// Whatever keeps it from opening; the case then fails.
    async fn open(&self) -> Result<Arc<dyn Store>>;
}

/// Makes a place of its own for each store.
pub(crate) type NewPlace = Arc<dyn Fn() -> Arc<dyn Place> + Send + Sync>;

/// Runs every case over a place that `new_place` makes for it, then the backend's own cases, as a test binary does:
/// arguments come from the command line. A backend that does not open is a failure, never a silent pass.
pub fn run<P: Place>(
    backend: &str,
    new_place: impl Fn() -> P + Send + Sync + 'static,
    own_cases: Vec<Trial>,
) -> ExitCode {
    let arguments = Arguments::from_args();
    let info = match runtime().block_on(ask(&new_place())) {
        Ok(info) => info,
        Err(error) => {
            eprintln!("{backend} cannot be tested: {error}");
            return ExitCode::FAILURE;
        }
    };
    let new_place: NewPlace = Arc::new(move || Arc::new(new_place()));
    let trial = |known: &'static Case| {
        let new_place = new_place.clone();
        case(&format!("{backend}::{}", known.name), move || (known.run)(new_place))
    };
    let mut trials: Vec<Trial> = cases::of(&info).map(trial).collect();
    trials.extend(own_cases);
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// What the store says of itself: some cases are for some kinds of stores only.
async fn ask(place: &dyn Place) -> Result<Info> {
    let store = place.open().await?;
    let info = store.info();
    store.close().await?;
    Ok(info)
}

/// Runs cases as a test binary does, for what is no store.
pub fn run_trials(trials: Vec<Trial>) -> ExitCode {
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// A case of a backend's own, for [`run`]: fails when it panics or takes longer than a minute.
pub fn case<F: Future<Output = ()> + Send + 'static>(name: &str, body: impl FnOnce() -> F + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let runtime = runtime();
        let ended = runtime.block_on(async { tokio::time::timeout(CASE_TIME_LIMIT, tokio::spawn(body())).await });
        // Waits for nothing, so that a case which hangs is reported and the next one runs.
        runtime.shutdown_background();
        match ended {
            Ok(Ok(())) => Ok(()),
            // Shown by the harness with its own message.
            Ok(Err(failure)) => resume_unwind(failure.try_into_panic()?),
            Err(_) => Err(format!("not over after {} s", CASE_TIME_LIMIT.as_secs()).into()),
        }
    })
}

fn runtime() -> Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a process can start two threads")
}
