//! `mlsm report`: the results of a published run again, as text, Markdown or HTML.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use mlsm_pipelines::results::Summary;
use mlsm_store::publish_file;

use crate::error::CliError;
use crate::render::{stdout, summary, terminal};
use crate::settings::Settings;

/// Which run, and where to.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The run; the last successful one when left out
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Writes `.md`, `.html` or text to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Prints or writes the results.
///
/// # Errors
/// [`CliError::Usage`] when nothing is published, [`CliError::Store`] when the file cannot be written.
pub fn report(args: &ReportArgs, settings: &Settings) -> Result<(), CliError> {
    let folder = published(&settings.store, args.run.as_deref())?;
    let found = read(&folder)?;
    let heading = format!("Results of run {}", run_of(&folder));
    let Some(path) = &args.out else {
        let text = summary::to_text(&found, terminal::width());
        return if settings.is_json() { stdout::print_json(&found) } else { stdout::print(&text) };
    };
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_lowercase();
    let text = match extension.as_str() {
        "html" | "htm" => summary::to_html(&found, &heading),
        "md" => summary::to_markdown(&found, &heading),
        _ => summary::to_text(&found, None),
    };
    Ok(publish_file(path, text.as_bytes())?)
}

/// Returns the folder of the tables of the last successful run.
pub fn current(store: &Path) -> PathBuf {
    store.join("tables").join("current")
}

/// Returns the folder of published tables, checked to exist.
///
/// # Errors
/// [`CliError::Usage`] when there is none, with the runs that are there.
pub fn published(store: &Path, run: Option<&str>) -> Result<PathBuf, CliError> {
    let Some(run) = run else {
        let folder = current(store);
        return if folder.is_dir() { Ok(folder) } else { Err(nothing(store)) };
    };
    let runs = store.join("tables").join("runs");
    let is_name = Path::new(run).file_name().is_some_and(|name| name == run);
    match runs.join(run) {
        folder if is_name && folder.is_dir() => Ok(folder),
        _ => {
            let mut known = names(&runs);
            known.reverse();
            known.truncate(5);
            let fix = format!("the latest with tables are: {}; `mlsm runs` lists all", known.join(", "));
            Err(CliError::usage(
                format!("no tables of run `{run}`"),
                format!("nothing lies in {}", runs.display()),
                fix,
            ))
        }
    }
}

/// Reads the results that were published with the tables.
///
/// # Errors
/// [`CliError::Usage`] when the file is absent or cannot be read.
pub fn read(tables: &Path) -> Result<Summary, CliError> {
    let path = tables.join("summary.json");
    let what = || format!("cannot read the results in {}", path.display());
    let fix = "`mlsm run` publishes them again";
    let bytes = fs::read(&path).map_err(|e| CliError::usage(what(), e.to_string(), fix))?;
    serde_json::from_slice(&bytes).map_err(|e| CliError::usage(what(), e.to_string(), fix))
}

fn nothing(store: &Path) -> CliError {
    let why = format!("no run of store {} ended well yet", store.display());
    CliError::usage("no tables are published", why, "`mlsm run --config demo` first, or name its store with `--store`")
}

/// Returns the id of the run whose tables lie in a folder: its own name, behind the link when it is `current`.
pub fn run_of(folder: &Path) -> String {
    let real = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    real.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
