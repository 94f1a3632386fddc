//! `cairn start`.

use std::io::IsTerminal;
use std::path::Path;

use cairn_env::{Env, files};
use cairn_server::{Limits, StartOptions};
use cairn_types::{Error, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::args::{DATA_DIR_DEFAULT, HTTP_PORT_DEFAULT, LISTEN_DEFAULT, MYSQL_PORT_DEFAULT, StartArgs};
use crate::config::{self, Config};

/// Parts of the machine's memory: queries, caches, buffers of one load. The rest is for everything else.
const QUERY_SHARE: usize = 2;
const CACHE_SHARE: usize = 8;
const LOAD_BYTES_MAX: usize = 512 << 20;
const CACHE_BYTES_MAX: usize = 4 << 30;
const SPILL_BYTES_MAX: u64 = 100 << 30;

/// Runs a server until SIGTERM or Ctrl-C.
pub async fn run(args: &StartArgs, env: Env) -> Result<()> {
    let config = Config::read(args.config.as_deref())?;
    log_to_stderr(&config.log)?;
    let shutdown = CancellationToken::new();
    watch_signals(&env, &shutdown)?;
    let running = tokio::select! {
        started = cairn_server::start(env, options(args, config)?) => started?,
        // A start may take its time, and may end at any point as it may be killed.
        () = shutdown.cancelled() => return Ok(()),
    };
    let addresses = running.node.addresses;
    println!("Cairn serves: MySQL on {}, HTTP on {}", addresses.mysql, addresses.http);
    running.serve(shutdown).await
}

fn options(args: &StartArgs, config: Config) -> Result<StartOptions> {
    let tls_pem = match (&config.tls.certificate, &config.tls.key) {
        (Some(certificate), Some(key)) => Some((read_text(certificate)?, read_text(key)?)),
        (None, None) => None,
        _ => {
            return Err(Error::parse("the configuration needs both tls.certificate and tls.key, or neither"));
        }
    };
    Ok(StartOptions {
        data_dir: args.data_dir.clone().or(config.data_dir).unwrap_or_else(|| DATA_DIR_DEFAULT.into()),
        storage: args.storage.clone().or(config.storage),
        storage_properties: config.storage_properties,
        listen: args.listen.or(config.listen).unwrap_or(LISTEN_DEFAULT),
        mysql_port: args.mysql_port.or(config.mysql_port).unwrap_or(MYSQL_PORT_DEFAULT),
        http_port: args.http_port.or(config.http_port).unwrap_or(HTTP_PORT_DEFAULT),
        cluster_snapshot: args.cluster_snapshot.clone(),
        tls_pem,
        limits: limits(&config.limits),
    })
}

fn limits(config: &config::Limits) -> Limits {
    let memory = machine_memory_bytes().unwrap_or(8 << 30);
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Limits {
        query_bytes_max: config.query_bytes_max.unwrap_or(memory / QUERY_SHARE),
        cache_bytes_max: config.cache_bytes_max.unwrap_or((memory / CACHE_SHARE).min(CACHE_BYTES_MAX)),
        load_bytes_max: config.load_bytes_max.unwrap_or((memory / CACHE_SHARE).min(LOAD_BYTES_MAX)),
        spill_bytes_max: config.spill_bytes_max.unwrap_or(SPILL_BYTES_MAX),
        parallelism: config.parallelism.unwrap_or(processors),
    }
}

fn machine_memory_bytes() -> Option<usize> {
    let text = String::from_utf8(files::read("/proc/meminfo".as_ref()).ok()?).ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    line.split_whitespace().nth(1)?.parse::<usize>().ok().map(|kib| kib * 1024)
}

fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(files::read(path)?)
        .map_err(|_| Error::parse(format!("{} is no PEM file", path.display())))
}

fn log_to_stderr(config: &config::Log) -> Result<()> {
    let default = config.filter.as_deref().unwrap_or("warn,cairn_server=info");
    let filter = match EnvFilter::try_from_default_env() {
        Ok(filter) => filter,
        Err(_) => {
            EnvFilter::try_new(default).map_err(|e| Error::parse(format!("log.filter '{default}': {e}")))?
        }
    };
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match config.json {
        true => subscriber.json().init(),
        false => subscriber.init(),
    }
    Ok(())
}

fn watch_signals(env: &Env, shutdown: &CancellationToken) -> Result<()> {
    let failed = |e| Error::unavailable(format!("cannot listen for signals: {e}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let shutdown = shutdown.clone();
    drop(env.spawn("signals", async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        shutdown.cancel();
    }));
    Ok(())
}
