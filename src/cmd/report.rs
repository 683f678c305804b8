//! `mlsm report`: the results of a published run again, as text, Markdown or HTML.

mod columns;
mod embedding;
mod episode;
mod extremes;
mod gather;
mod lineage;

use std::path::{Path, PathBuf};

use clap::Args;
use mlsm_pipelines::SUMMARY;
use mlsm_pipelines::results::Summary;
use mlsm_store::{Access, Published, Store, publish_file};

use crate::error::CliError;
use crate::render::{report as page, stdout, summary, terminal};
use crate::settings::{Settings, Waiting};

/// Which run, and where to.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The run; the last successful one when left out
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Writes to this file: .html, .md, .json or .txt
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Prints or writes the results.
///
/// # Errors
/// [`CliError::Usage`] when nothing is published, [`CliError::Store`] when it is damaged or the file cannot be written.
pub fn report(args: &ReportArgs, settings: &Settings) -> Result<(), CliError> {
    let store = open(settings)?;
    let published = published(&store, args.run.as_deref())?;
    let found = read(&published)?;
    let heading = format!("Results of run {}", published.run_id());
    let Some(path) = &args.out else {
        let text = summary::to_text(&found, terminal::width());
        return if settings.is_json() { stdout::print_json(&found) } else { stdout::tell(&text) };
    };
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let text = match ending.as_str() {
        "html" | "htm" => page::to_html(&gather::content(&store, &published, found)?),
        "md" => summary::to_markdown(&found, &heading),
        "json" => serde_json::to_string_pretty(&found).expect("a summary that was read is written") + "\n",
        "txt" | "" => summary::to_text(&found, None),
        _ => {
            let what = format!("cannot write the report to {}", path.display());
            let fix = "end the name in .html, .md, .json or .txt";
            return Err(CliError::usage(what, format!("the ending .{ending} names no format"), fix));
        }
    };
    Ok(publish_file(path, text.as_bytes())?)
}

/// Returns the folder of the tables of the last successful run.
pub fn current(store: &Path) -> PathBuf {
    store.join("tables").join("current")
}

/// Opens the local store, in which published tables lie, to look at them.
///
/// # Errors
/// [`CliError::Store`] when it is not one.
pub fn open(settings: &Settings) -> Result<Store, CliError> {
    let folder = &settings.store;
    match Store::is_absent(folder)? {
        true => Ok(Store::absent(folder)),
        false => Ok(Store::open_with(folder, Access::ReadOnly, &settings.patience(Waiting::Allowed))?),
    }
}

/// Returns the published tables of a run; of the last complete one when none is named.
///
/// # Errors
/// [`CliError::Usage`] when there are none, with the runs that have some; [`CliError::Store`] when they are damaged.
pub fn published(store: &Store, run: Option<&str>) -> Result<Published, CliError> {
    if let Some(published) = run.map_or(Ok(()), check_name).and_then(|()| Ok(store.published(run)?))? {
        return Ok(published);
    }
    let Some(run) = run else { return Err(nothing(store.root())) };
    let latest: Vec<_> = store.published_runs().into_iter().rev().take(5).collect();
    let fix = format!("the latest with tables are: {}; `mlsm runs` lists all", latest.join(", "));
    let why = format!("nothing lies in {}", store.root().join("tables/runs").display());
    Err(CliError::usage(format!("no tables of run `{run}`"), why, fix))
}

fn check_name(run: &str) -> Result<(), CliError> {
    match Path::new(run).file_name().is_some_and(|name| name == run) {
        true => Ok(()),
        false => Err(CliError::usage(format!("no run `{run}`"), "it is no name of a run", "`mlsm runs` lists them")),
    }
}

/// Reads the results that were published with the tables.
///
/// # Errors
/// [`CliError::Store`] when they are damaged, [`CliError::Usage`] when another program wrote them.
pub fn read(published: &Published) -> Result<Summary, CliError> {
    let bytes = published.read(SUMMARY)?;
    serde_json::from_slice(&bytes).map_err(|e| {
        let what = format!("cannot read the results in {}", published.folder().display());
        CliError::usage(what, e.to_string(), "`mlsm run` publishes them again")
    })
}

fn nothing(store: &Path) -> CliError {
    let why = format!("no run of store {} ended well yet", store.display());
    CliError::usage("no tables are published", why, "`mlsm run --config demo` first, or name its store with `--store`")
}
