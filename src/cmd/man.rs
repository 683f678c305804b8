//! `mlsm man`: the manual pages, one for the program and one for each verb.

use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use mlsm_store::publish_file;

use crate::cli::Cli;
use crate::error::CliError;
use crate::render::stdout;

/// Where to.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Writes every page into this folder, as mlsm.1, mlsm-run.1 …; without it, the page of the program is printed
    folder: Option<PathBuf>,
}

/// Prints the page of the program, or writes all of them.
///
/// # Errors
/// [`CliError::Store`] when a page cannot be written, [`CliError::Stdout`] when it cannot be printed.
pub fn man(args: &ManArgs) -> Result<(), CliError> {
    let mut program = Cli::command();
    program.build();
    match &args.folder {
        None => stdout::write(&page(&program)?),
        Some(folder) => write(&program, folder),
    }
}

/// Writes the page of a command, and those of all below it.
fn write(command: &Command, folder: &Path) -> Result<(), CliError> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    publish_file(&folder.join(format!("{name}.1")), &page(command)?)?;
    let below = command.get_subcommands().filter(|verb| verb.get_name() != "help");
    below.into_iter().try_for_each(|verb| write(verb, folder))
}

fn page(command: &Command) -> Result<Vec<u8>, CliError> {
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page).map_err(CliError::Stdout)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_page_that_names_its_flags() {
        let folder = tempfile::tempdir().unwrap();
        man(&ManArgs { folder: Some(folder.path().to_owned()) }).unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(read("mlsm.1").contains("Exit codes"));
        assert!(read("mlsm-run.1").contains("\\-\\-max\\-time"));
        assert!(read("mlsm-config-show.1").contains("\\-\\-origin"));
        let mut program = Cli::command();
        program.build();
        for verb in program.get_subcommands().filter(|verb| verb.get_name() != "help") {
            assert!(read(&format!("mlsm-{}.1", verb.get_name())).starts_with(".ie"), "{}", verb.get_name());
        }
    }
}
