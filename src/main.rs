//! The command line of the pipeline. Nothing but this package prints, reads the environment or ends the process.

mod cli;
mod clock;
mod cmd;
mod error;
mod presets;
mod render;
mod settings;
mod signals;
mod workspace;

use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::Parser;

use crate::cli::Cli;
use crate::error::CliError;
use crate::settings::Settings;

fn main() {
    let cli = Cli::parse();
    let work = || {
        begin_trial()?;
        Settings::new(cli.common).and_then(|settings| cmd::dispatch(cli.verb, &settings))
    };
    // A panic is a defect, but scheduled jobs still need an exit code that is documented; artifacts are whole anyway.
    let result = catch_unwind(AssertUnwindSafe(work));
    let code = match result.unwrap_or(Err(CliError::Panicked)) {
        Ok(()) => 0,
        Err(error) => {
            render::stderr::print(&error.render());
            error.exit_code()
        }
    };
    mlsm_nets::leave(code) // every result was flushed when it was written
}

/// Begins what `MLSM_TRIAL` says, such as `kill=120`: how `make torture` ends this process at any of its disk calls.
fn begin_trial() -> Result<(), CliError> {
    let Some(text) = std::env::var_os("MLSM_TRIAL") else { return Ok(()) };
    let trial: mlsm_store::Trial = text.to_string_lossy().parse().map_err(|e: mlsm_store::ParseTrialError| {
        let [what, fix] = ["cannot use MLSM_TRIAL", "unset MLSM_TRIAL"].map(str::to_owned);
        CliError::Usage { what, why: e.to_string(), fix }
    })?;
    trial.begin();
    Ok(())
}
