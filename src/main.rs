//! The command line of the pipeline. Nothing but this package prints, reads the environment or ends the process.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make files and measure"))]

mod cli;
mod clock;
mod cmd;
mod environment;
mod error;
mod job;
mod presets;
mod render;
mod settings;
mod signals;
mod work_plan;
mod workspace;

use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::Parser;

use crate::cli::{Cli, Verb};
use crate::error::CliError;
use crate::render::{json, lineage};
use crate::settings::Settings;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let cli = Cli::try_parse().unwrap_or_else(|refused| refuse(&refused));
    let is_run = promises_last_line(&cli);
    if is_run {
        json::stream().begin();
    }
    signals::allow(cli.verb.grace());
    let work = || {
        signals::install().map_err(|e| {
            CliError::usage("cannot listen to signals", e.to_string(), "run outside a restricted sandbox")
        })?;
        begin_trial()?;
        job::announce();
        Settings::new(cli.common).and_then(|settings| cmd::dispatch(cli.verb, &settings)).map_err(CliError::with_cause)
    };
    // A panic is a defect, but scheduled jobs still need an exit code that is documented; artifacts are whole anyway.
    let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(CliError::Panicked));
    leave(result)
}

/// Ends the process: says what failed, then the last line of JSON where one is owed.
fn leave(result: Result<(), CliError>) -> ! {
    let mut code = result.as_ref().err().map_or(0, CliError::exit_code);
    if let Err(error) = &result {
        render::stderr::print(&error.render());
    }
    lineage::stream().finish(result.as_ref().err()); // a run that ended by itself has warned of what did not arrive
    if let Err(error) = json::finish(result.as_ref().err()) {
        render::stderr::print(&error.render());
        code = if code == 0 { error.exit_code() } else { code };
    }
    mlsm_nets::leave(code) // every result was flushed when it was written
}

/// Tells whether the last line of stdout is to be `run-finished`, whatever happens from here on.
fn promises_last_line(cli: &Cli) -> bool {
    let is_json = match cli.common.output {
        Some(output) => output == cli::Output::Json,
        None => environment::variable("MLSM_OUTPUT").is_some_and(|value| value == "json"),
    };
    let is_run =
        matches!(cli.verb, Verb::Run(_) | Verb::Work(_) | Verb::Predict(_) | Verb::Support(_) | Verb::Similar(_));
    is_json && is_run
}

/// Ends with what clap says of the command line: help and version are no failures. A refused command line of a run that
/// was to answer in JSON ends with its last line, too.
fn refuse(refused: &clap::Error) -> ! {
    let words: Vec<_> = std::env::args_os().collect();
    let is_json = words.windows(2).any(|pair| pair[0] == "--output" && pair[1] == "json")
        || words.iter().any(|word| word == "--output=json")
        || environment::variable("MLSM_OUTPUT").is_some_and(|value| value == "json");
    let verbs = ["run", "work", "predict", "support", "similar"];
    let is_run = words.iter().any(|word| verbs.iter().any(|verb| word == verb));
    if refused.use_stderr() && is_json && is_run {
        let _ = refused.print();
        let first = refused.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        json::stream().begin();
        let error = CliError::usage(first, "the command line does not fit", "`mlsm help` shows what it takes");
        let _ = json::stream().finish(Some(&error));
        mlsm_nets::leave(error.exit_code());
    }
    refused.exit()
}

/// Begins what `MLSM_TRIAL` says, such as `kill=120`: how `make torture` ends this process at any of its disk calls. Only a
/// program that was built for such tests listens.
fn begin_trial() -> Result<(), CliError> {
    if !cfg!(feature = "trial") {
        return Ok(());
    }
    let Some(text) = environment::variable("MLSM_TRIAL") else { return Ok(()) };
    let trial: mlsm_store::Trial = text.to_string_lossy().parse().map_err(|e: mlsm_store::ParseTrialError| {
        CliError::usage("cannot use MLSM_TRIAL", e.to_string(), "unset MLSM_TRIAL")
    })?;
    trial.begin();
    Ok(())
}
