//! The binary: verbs, configuration, wiring. Nothing else.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line talks through its standard streams"
)]

mod artifact_store;
mod cli;
mod client;
mod connections;
mod courier;
mod demo;
mod failure;
mod import;
mod jobs;
mod machine;
mod manifest;
mod replay;
mod score;
mod server;
mod table;
mod telemetry;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    let json = arguments.json;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the asynchronous runtime cannot start: {error}");
            return ExitCode::from(failure::INTERNAL);
        }
    };
    match runtime.block_on(cli::run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(json),
    }
}
