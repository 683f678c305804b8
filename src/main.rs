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
    let work = || Settings::new(cli.common).and_then(|settings| cmd::dispatch(cli.verb, &settings));
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
