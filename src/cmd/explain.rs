//! `mlsm explain`: what changed in a node or stage since its last run, field by field and photo by photo.

use std::fmt::Write as _;

use clap::Args;
use mlsm_engine::{Action, NodeExplanation};
use mlsm_store::{RunRecord, Store};
use serde::Serialize;

use crate::cmd::plan;
use crate::error::CliError;
use crate::render::stdout;
use crate::render::view::View;
use crate::settings::Settings;
use crate::workspace::Workspace;

/// What to explain.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A node such as `meta-train:mlsm`, or a stage such as `crop`
    #[arg(value_name = "NODE|STAGE")]
    name: String,
}

/// Why a node was computed when it last was.
#[derive(Serialize)]
struct LastTime {
    run_id: String,
    finished: String,
    reason: String,
}

/// One node as JSON.
#[derive(Serialize)]
struct ExplanationLine {
    #[serde(flatten)]
    explanation: NodeExplanation,
    last_computed: Option<LastTime>,
}

/// Prints the explanation.
///
/// # Errors
/// [`CliError::Engine`] when there is no such node or stage.
pub fn explain(args: &ExplainArgs, settings: &Settings) -> Result<(), CliError> {
    let workspace = Workspace::to_plan(settings, &View::Quiet)?;
    let Workspace { assembly, store, config, .. } = &workspace;
    let found = mlsm_engine::explain(&assembly.graph, store, &config.name, &args.name)?;
    let runs = earlier_runs(store, &config.name)?;
    let lines: Vec<_> = found
        .into_iter()
        .map(|explanation| ExplanationLine { last_computed: last_time(&runs, &explanation.node), explanation })
        .collect();
    if settings.is_json() {
        return stdout::print_json(&lines);
    }
    stdout::tell(&lines.iter().map(text).collect::<Vec<_>>().join("\n"))
}

/// Returns the runs of one configuration, the latest first.
fn earlier_runs(store: &Store, config_name: &str) -> Result<Vec<RunRecord>, CliError> {
    let mut runs = store.runs().list()?;
    runs.retain(|r| r.config_name == config_name);
    runs.sort_by(|a, b| b.started.cmp(&a.started));
    Ok(runs)
}

fn last_time(runs: &[RunRecord], node: &str) -> Option<LastTime> {
    let computed = |run: &RunRecord| {
        let record = run.nodes.iter().find(|n| n.node == node && n.outcome == "executed")?;
        let (run_id, finished, reason) = (run.run_id.clone(), run.finished.clone(), record.reason.clone());
        Some(LastTime { run_id, finished, reason })
    };
    runs.iter().find_map(computed)
}

fn text(line: &ExplanationLine) -> String {
    let NodeExplanation { node, action, units } = &line.explanation;
    let verdict = match action {
        Action::Reuse => "up to date",
        Action::Execute => "would be computed",
        Action::Unknown => "unknown until what stands before it is computed",
    };
    let mut text = format!("{node}: {verdict} ({})\n", plan::word(*action));
    for unit in units {
        let name = if unit.unit.is_empty() { String::new() } else { format!("{}: ", unit.unit) };
        if unit.differences.is_empty() {
            let _ = writeln!(text, "  {name}{}", unit.reason);
        }
        for difference in &unit.differences {
            let _ = writeln!(text, "  {name}{difference}");
        }
    }
    if let Some(LastTime { run_id, finished, reason }) = &line.last_computed {
        let _ = writeln!(text, "  last computed {finished} in run {run_id}: {reason}");
    }
    text
}
