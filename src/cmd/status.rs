//! `mlsm status`: in short, which stages are up to date, and how the last run went.

use std::collections::BTreeMap;

use mlsm_engine::{Action, Plan};
use mlsm_store::RunRecord;
use serde::Serialize;

use crate::cmd::plan;
use crate::error::CliError;
use crate::render::table::{Align, TextTable};
use crate::render::{stdout, terminal};
use crate::settings::Settings;

/// Nodes of one stage by what a run would do with them.
#[derive(Serialize)]
struct StageLine {
    stage: String,
    nodes: usize,
    current: usize,
    stale: usize,
    unknown: usize,
}

/// How the last run went.
#[derive(Serialize)]
struct RunLine {
    run_id: String,
    started: String,
    finished: String,
    outcome: String,
}

/// Everything as JSON.
#[derive(Serialize)]
struct StatusLine {
    config: String,
    store: String,
    is_current: bool,
    stages: Vec<StageLine>,
    last_run: Option<RunLine>,
    tables: Option<String>,
}

/// Prints the status.
///
/// # Errors
/// [`CliError`] of the configuration, the store or the data set.
pub fn status(settings: &Settings) -> Result<(), CliError> {
    let (workspace, plan) = plan::planned(settings, &[])?;
    let last = workspace.store.runs().last(&workspace.config.name)?;
    let tables = workspace.store.published(None)?;
    let line = StatusLine {
        config: workspace.config.name.clone(),
        store: settings.store.display().to_string(),
        is_current: plan.is_current(),
        stages: stages(&plan),
        last_run: last.map(run_line),
        tables: tables.map(|published| published.run_id().to_owned()),
    };
    if settings.is_json() { stdout::print_json(&line) } else { stdout::tell(&text(&line)) }
}

fn run_line(run: RunRecord) -> RunLine {
    let RunRecord { run_id, started, finished, outcome, .. } = run;
    RunLine { run_id, started, finished, outcome }
}

/// Counts by stage, in the order of the graph.
fn stages(plan: &Plan) -> Vec<StageLine> {
    let mut order: Vec<&str> = Vec::new();
    let mut counts: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for node in &plan.nodes {
        if !order.contains(&node.stage) {
            order.push(node.stage);
        }
        let column = match node.action {
            Action::Reuse => 0,
            Action::Execute => 1,
            Action::Unknown => 2,
        };
        counts.entry(node.stage).or_default()[column] += 1;
    }
    let line = |stage: &str| {
        let [current, stale, unknown] = counts[stage];
        StageLine { stage: stage.to_owned(), nodes: current + stale + unknown, current, stale, unknown }
    };
    order.into_iter().map(line).collect()
}

fn text(status: &StatusLine) -> String {
    let mut table = TextTable::new(&[
        ("stage", Align::Left),
        ("nodes", Align::Right),
        ("current", Align::Right),
        ("stale", Align::Right),
        ("unknown", Align::Right),
    ]);
    for stage in &status.stages {
        let counts = [stage.nodes, stage.current, stage.stale, stage.unknown].map(|n| n.to_string());
        table.row([stage.stage.clone()].into_iter().chain(counts).collect());
    }
    let last = match &status.last_run {
        Some(run) => format!("{}, {} ({} to {})", run.run_id, run.outcome, run.started, run.finished),
        None => "none yet".to_owned(),
    };
    let tables = status.tables.as_deref().unwrap_or("none yet");
    let verdict = if status.is_current { "everything is up to date" } else { "`mlsm plan` says what is stale and why" };
    let StatusLine { config, store, .. } = status;
    format!(
        "{}\nconfig:    {config}\nstore:     {store}\nlast run:  {last}\ntables of: {tables}\n{verdict}\n",
        table.fit(terminal::width())
    )
}
