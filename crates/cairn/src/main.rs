//! The one binary: the command line, and nothing that could be tested without it.

mod args;
mod config;
mod meta;
mod snapshot;
mod sql;
mod start;

use std::process::ExitCode;

use args::{Command, CommandLine};
use cairn_env::{Env, Failpoints, STACK_BYTES};
use cairn_types::{Error, Result};
use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(CommandLine::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let env = Env::real(failpoints()?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .build()
        .map_err(|e| Error::unavailable(format!("cannot start the runtime: {e}")))?;
    runtime.block_on(async {
        match command {
            Command::Start(args) => start::run(&args, env).await,
            Command::Sql(args) => sql::run(&args, &env).await,
            Command::Snapshot(command) => snapshot::run(&command, &env).await,
            Command::Meta(command) => meta::run(&command),
        }
    })
}

/// Failpoints are for tests that kill a real process.
fn failpoints() -> Result<Failpoints> {
    #[allow(clippy::disallowed_methods, reason = "tests set it for a process that they kill")]
    match std::env::var("CAIRN_FAILPOINTS") {
        Ok(text) => Failpoints::parse(&text),
        Err(_) => Ok(Failpoints::default()),
    }
}
