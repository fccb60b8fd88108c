//! `tallybook serve`: the store, the writer and the server, opened in this order and closed in the other.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use tallybook_backends::Backend;
use tallybook_core::Store;
use tallybook_exchange::{DailyFiles, DailyOptions};
use tallybook_mirror::{Mirror, MirrorOptions, Opener};
use tallybook_runner::{ArtifactLimits, Artifacts, Spool};
use tallybook_server::{Addresses, Limits, Options, Server, Token};
use tallybook_sqlite::Cancel;
use tallybook_telemetry::{Fold, FoldOptions};
use tallybook_writer::{Companion, QueueOptions, RetentionOptions, TickOptions, Writer, WriterOptions};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

use crate::commands::Starter;
use crate::run::{self, StoreDestination};
use crate::settings::{AckLevel, DualFormat, Settings, WhenFull};
use crate::{backup, demo, doctor, store};

/// Ticks that wait for their daily files.
const MAX_QUEUED_FOR_FILES: u64 = 1_000_000;

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// One sentence when a setting is wrong, the store or a port cannot be opened, or what was queued could not be written.
pub(crate) fn run(settings: &Settings, file: Option<&Path>, demo: bool) -> Result<()> {
    // Migrations tell of every step, even before an error that is the only thing to say.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,refinery_core=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(serve(settings, file, demo))
}

async fn serve(settings: &Settings, file: Option<&Path>, demo: bool) -> Result<()> {
    let commands = Starter::new(settings, file)?;
    let options = server_options(settings, commands.clone())?;
    options.validate()?;
    let holder = format!("tallybook serve, whose API is at http://{}", settings.network.api_addr);
    let store = store::open_soon(settings, &holder).await?;
    let served = serve_store(settings, options, store.clone(), commands, demo).await;
    store.close().await.context("closing the store")?;
    served
}

async fn serve_store(
    settings: &Settings,
    options: Options,
    store: Arc<dyn Store>,
    commands: Starter,
    demo: bool,
) -> Result<()> {
    let mut fold = Fold::new(fold_options(settings));
    tallybook_writer::restore(store.as_ref(), &mut fold).await?;
    let daily_files = match daily_options(settings)? {
        Some(options) => Some(DailyFiles::open(store.clone(), options).await?),
        None => None,
    };
    let companion = daily_files.clone().map(|files| files as Arc<dyn Companion>);
    let writer = Writer::start_beside(store.clone(), fold, writer_options(settings), companion);
    let mirror = start_mirror(settings, &store, &writer).await?;
    let options = Options { mirror: mirror.clone(), ..options };
    let server = Server::bind(options, store.clone(), writer.clone()).await?;
    let addresses = server.addresses();
    announce(store.as_ref(), addresses);
    let visitors = demo.then(|| tokio::spawn(demo::run(addresses.otlp_http, settings.network.api_token.clone())));

    let cancel_backups = Cancel::new();
    let backups = tokio::spawn(backup::take_regularly(settings.clone(), cancel_backups.clone()));
    let runs = StoreDestination::new(store.clone(), Some(writer.clone()));
    let spool = Spool::of(&settings.store.data_dir);
    let artifacts = Artifacts::of(&settings.store.data_dir, ArtifactLimits::default());
    let cleaning = tokio::spawn(run::keep_clean(store.clone(), artifacts, spool.clone()));
    let runs = tokio::spawn(async move { run::drain(spool, &runs).await });

    let mut terminate = signal(SignalKind::terminate())?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => info!("SIGTERM: stopping"),
            _ = tokio::signal::ctrl_c() => info!("SIGINT: stopping"),
        }
        if let Some(visitors) = visitors {
            visitors.abort();
        }
        // While what they say still has a way to the store.
        commands.stop(settings.writing.stop_max_wait).await;
    };
    let stopped = server.run(shutdown).await;
    cleaning.abort();
    runs.abort();
    // Ended or cut off between two commits; the spool has the rest.
    let _ = (runs.await, cleaning.await);
    if stopped.cut_off > 0 {
        warn!(connections = stopped.cut_off, "requests that ran past the limit were cut off");
    }
    cancel_backups.cancel();
    backups.abort();
    let stopped = writer.stop(settings.writing.stop_max_wait).await;
    if let Some(mirror) = mirror
        && !mirror.stop(settings.writing.stop_max_wait).await
    {
        warn!("the mirror was not followed to the end; it goes on with the next start");
    }
    let files_closed = match &daily_files {
        Some(files) => files.close().await,
        None => Ok(()),
    };
    if !stopped.drained {
        let why = stopped.error.as_deref().unwrap_or("the time limit STOP_MAX_WAIT was reached");
        error!(records = stopped.records_left, why, "records that were taken could not be written");
        bail!("{} records that were taken could not be written: {why}", stopped.records_left);
    }
    files_closed.context("DUAL_JSON_DIR")?;
    info!("everything that was taken is written");
    Ok(())
}

/// The daily files that are kept beside the store, where they are wanted.
fn daily_options(settings: &Settings) -> Result<Option<DailyOptions>> {
    let Some(folder) = settings.series.dual_json_dir.clone() else { return Ok(None) };
    if settings.store.use_db == Backend::Memory {
        bail!(
            "DUAL_JSON_DIR needs a store that outlives the process, from which a file can be written anew: not USE_DB=memory"
        );
    }
    Ok(Some(DailyOptions {
        folder,
        lines: settings.series.dual_json_format == DualFormat::Ndjson,
        broker_id: settings.series.dual_json_broker_id.clone(),
        max_queued: MAX_QUEUED_FOR_FILES,
    }))
}

/// Starts to follow the store, where that is asked for. A mirror that is away for now keeps nobody from serving.
async fn start_mirror(settings: &Settings, store: &Arc<dyn Store>, writer: &Writer) -> Result<Option<Mirror>> {
    let Some(place) = settings.store.mirror_url.clone() else { return Ok(None) };
    let (target, holder) =
        (place.to_string(), format!("tallybook serve at http://{}, as its mirror", settings.network.api_addr));
    let open: Opener = Arc::new(move || {
        let (place, holder) = (place.clone(), holder.clone());
        Box::pin(async move { place.open_follower(&holder).await })
    });
    let mirror = Mirror::start(store.clone(), &target, open, writer.commits(), MirrorOptions::default()).await;
    Ok(Some(mirror.with_context(|| format!("MIRROR_URL is {target}"))?))
}

fn announce(store: &dyn Store, addresses: Addresses) {
    let store = store.info();
    info!("tallybook {} on {} {}", env!("CARGO_PKG_VERSION"), store.name, store.version);
    info!("OTLP/gRPC at {}, OTLP/HTTP at http://{}", addresses.otlp_grpc, addresses.otlp_http);
    info!("API at http://{0}/api/v1, its description at http://{0}/api/v1/openapi.json", addresses.api);
}

fn server_options(settings: &Settings, commands: Starter) -> Result<Options> {
    let bytes = |size: bytesize::ByteSize| usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
    Ok(Options {
        otlp_grpc_addr: settings.network.otlp_grpc_addr,
        otlp_http_addr: settings.network.otlp_http_addr,
        api_addr: settings.network.api_addr,
        api_token: settings.network.api_token.clone().map(Token::new).transpose()?,
        own_database: (settings.store.use_db == Backend::Sqlite).then(|| settings.store.data_dir.join("tallybook.db")),
        databases: Some(settings.store.data_dir.join("databases")),
        doctor: Some(Arc::new(doctor::OfServer(settings.clone()))),
        limits: Limits {
            max_request_bytes: bytes(settings.network.otlp_max_body),
            max_decompressed_bytes: bytes(settings.network.otlp_max_decompressed),
            ..Limits::default()
        },
        commands: Some(Arc::new(commands)),
        artifacts: Some(Artifacts::of(&settings.store.data_dir, ArtifactLimits::default())),
        ..Options::default()
    })
}

fn fold_options(settings: &Settings) -> FoldOptions {
    FoldOptions {
        max_services: settings.catalogue.max_services,
        max_metrics_per_service: settings.catalogue.max_metrics_per_service,
        max_spans_per_service: settings.catalogue.max_spans_per_service,
        max_keys_total: settings.catalogue.max_keys,
        max_templates_per_miner: settings.catalogue.max_templates,
        keep_examples: settings.catalogue.keep_examples,
        hour_retention: settings.catalogue.keep_hours,
        day_retention: settings.catalogue.keep_days,
        ..FoldOptions::default()
    }
}

pub(crate) fn writer_options(settings: &Settings) -> WriterOptions {
    let queue = |default: QueueOptions, ack: AckLevel, when_full: WhenFull| QueueOptions {
        ack: ack.into(),
        when_full: match when_full {
            WhenFull::Block => tallybook_writer::WhenFull::Block { limit: settings.writing.queue_max_wait },
            WhenFull::Shed => tallybook_writer::WhenFull::Shed,
        },
        ..default
    };
    let defaults = WriterOptions::default();
    let WriterOptions { telemetry, pings, ticks, executions, .. } = defaults;
    WriterOptions {
        executions: queue(executions, settings.writing.execution_ack, WhenFull::Block),
        telemetry: queue(telemetry, settings.writing.telemetry_ack, settings.writing.telemetry_when_full),
        pings: queue(pings, settings.writing.ping_ack, settings.writing.ping_when_full),
        ticks: TickOptions {
            queue: queue(ticks.queue, settings.writing.tick_ack, settings.writing.tick_when_full),
            ring_per_symbol: settings.series.tick_ring,
            drop_identical: settings.series.drop_identical_ticks,
            ..ticks
        },
        retention: RetentionOptions {
            hour_buckets: settings.catalogue.keep_hours,
            day_buckets: settings.catalogue.keep_days,
            pings: settings.series.keep_pings,
            ping_minutes: settings.series.keep_ping_minutes,
            ping_hours: settings.series.keep_ping_hours,
            ticks: settings.series.keep_ticks,
            seal_after: Some(settings.series.seal_ticks_after),
            executions: settings.executions.keep_executions,
            ..RetentionOptions::default()
        },
        ..defaults
    }
}
