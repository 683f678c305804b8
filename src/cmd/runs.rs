//! `mlsm runs`: the run log, the latest last.

use clap::Args;
use mlsm_store::{Access, RunRecord};
use serde::Serialize;

use crate::error::CliError;
use crate::render::stdout;
use crate::render::table::{Align, TextTable};
use crate::settings::Settings;

/// How many to list.
#[derive(Debug, Args)]
pub struct RunsArgs {
    /// Lists only the latest ones
    #[arg(long, value_name = "N", default_value_t = 20)]
    last: usize,
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
}

/// Lists the runs.
///
/// # Errors
/// [`CliError::Store`] when there is no store or its log cannot be read.
pub fn runs(args: &RunsArgs, settings: &Settings) -> Result<(), CliError> {
    let mut runs = settings.open_store(Access::ReadOnly)?.runs().list()?;
    runs.sort_by(|a, b| a.started.cmp(&b.started));
    let lines: Vec<_> = runs.iter().skip(runs.len().saturating_sub(args.last)).map(run_line).collect();
    if settings.is_json() {
        return stdout::print_json(&lines);
    }
    let mut table = TextTable::new(&[
        ("run", Align::Left),
        ("config", Align::Left),
        ("finished", Align::Left),
        ("outcome", Align::Left),
        ("device", Align::Left),
        ("executed", Align::Right),
    ]);
    for line in &lines {
        let words = [line.run_id, line.config, line.finished, line.outcome, line.device].map(str::to_owned);
        table.row(words.into_iter().chain([format!("{}/{}", line.executed, line.nodes)]).collect());
    }
    stdout::print(&table.to_text())
}

fn run_line(run: &RunRecord) -> RunLine<'_> {
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
    }
}
