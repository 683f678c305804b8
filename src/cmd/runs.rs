//! `mlsm runs`: the run log, the latest last; pins, which keep a run's artifacts from `mlsm gc`.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use mlsm_store::{Access, Pin, RunRecord};
use serde::Serialize;

use crate::error::CliError;
use crate::render::table::{Align, TextTable};
use crate::render::{stdout, terminal};
use crate::settings::Settings;

/// How many to list, or what to do with one.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// What to do instead of listing
    #[command(subcommand)]
    action: Option<RunsAction>,
    /// Lists only the latest ones
    #[arg(long, value_name = "N", default_value_t = 20)]
    last: usize,
}

/// What can be done with a run.
#[derive(Debug, Subcommand)]
pub enum RunsAction {
    /// Keeps what a run reaches from being collected
    Pin {
        /// The run
        run: String,
    },
    /// Lets it go again
    Unpin {
        /// The run
        run: String,
    },
}

/// One run as JSON.
#[derive(Serialize)]
struct RunLine<'a> {
    run_id: &'a str,
    config: &'a str,
    started: &'a str,
    finished: &'a str,
    outcome: &'a str,
    device: &'a str,
    version: &'a str,
    nodes: usize,
    executed: usize,
    pinned: bool,
}

/// Lists the runs.
///
/// # Errors
/// [`CliError::Store`] when there is no store or its log cannot be read.
pub fn runs(args: &RunsArgs, settings: &Settings) -> Result<(), CliError> {
    match &args.action {
        Some(RunsAction::Pin { run }) => return pin(run, Pin::Set, settings),
        Some(RunsAction::Unpin { run }) => return pin(run, Pin::Removed, settings),
        None => {}
    }
    let store = settings.open_store(Access::ReadOnly)?;
    let (mut runs, pinned) = (store.runs().list()?, store.pinned());
    runs.sort_by(|a, b| a.started.cmp(&b.started));
    let lines: Vec<_> = runs.iter().skip(runs.len().saturating_sub(args.last)).map(|r| run_line(r, &pinned)).collect();
    if settings.is_json() {
        return stdout::print_json(&lines);
    }
    let mut table = TextTable::new(&[
        ("run", Align::Name),
        ("config", Align::Left),
        ("finished (UTC)", Align::Text),
        ("outcome", Align::Left),
        ("device", Align::Left),
        ("executed", Align::Right),
        ("pinned", Align::Left),
    ]);
    for line in &lines {
        let finished = line.finished.split('.').next().unwrap_or_default().replace('T', " ");
        let words = [line.run_id, line.config, &finished, line.outcome, line.device].map(str::to_owned);
        let cells = words.into_iter().chain([
            format!("{}/{}", line.executed, line.nodes),
            if line.pinned { "yes".to_owned() } else { String::new() },
        ]);
        table.row(cells.collect());
    }
    stdout::print(&table.fit(terminal::width()))
}

fn pin(run: &str, pin: Pin, settings: &Settings) -> Result<(), CliError> {
    let store = settings.open_store(Access::Existing)?;
    if pin == Pin::Set && !store.runs().list()?.iter().any(|r| r.run_id == run) {
        let why = "the store's log does not have it";
        return Err(CliError::usage(format!("no run `{run}`"), why, "`mlsm runs` lists them"));
    }
    Ok(store.pin(run, pin)?)
}

fn run_line<'a>(run: &'a RunRecord, pinned: &BTreeSet<String>) -> RunLine<'a> {
    RunLine {
        run_id: &run.run_id,
        config: &run.config_name,
        started: &run.started,
        finished: &run.finished,
        outcome: &run.outcome,
        device: &run.device,
        version: &run.version,
        nodes: run.nodes.len(),
        executed: run.nodes.iter().filter(|n| n.outcome == "executed").count(),
        pinned: pinned.contains(&run.run_id),
    }
}
