//! `mlsm plan`: what a run would compute, and why; computes nothing and takes no lock. For many machines the
//! plan is written as a file, and the list of its photos into the store.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use mlsm_engine::{Action, InputSource, NodePlan, Plan, UnitPlan};
use mlsm_pipelines::{PhotoList, Purpose};
use mlsm_store::publish_file;
use serde::Serialize;

use crate::cmd::run;
use crate::error::CliError;
use crate::render::table::{Align, TextTable};
use crate::render::view::View;
use crate::render::{stderr, stdout, terminal};
use crate::settings::{Settings, Verbosity};
use crate::work_plan::{self, WorkPlan};
use crate::workspace::{Handout, Workspace};

/// What to plan.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Stages or nodes to look at with all they need; none means everything
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Exits with 1 when anything would be computed
    #[arg(long)]
    check: bool,
    /// Writes the units that would be computed to this file, for `mlsm work` on many machines
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// One node as JSON.
#[derive(Serialize)]
struct NodeLine<'a> {
    node: &'a str,
    stage: &'a str,
    action: Action,
    reason: &'a str,
    fingerprint: Option<String>,
    shards: Counts,
}

/// Units of a node by what happens to them.
#[derive(Clone, Copy, Serialize)]
struct Counts {
    execute: usize,
    reuse: usize,
    unknown: usize,
}

/// The whole plan as JSON.
#[derive(Serialize)]
struct PlanLine<'a> {
    event: &'static str,
    is_current: bool,
    nodes: Vec<NodeLine<'a>>,
    warnings: &'a [String],
}

/// Prints the plan.
///
/// # Errors
/// [`CliError::CheckFailed`] when `--check` was given and anything is stale or unknown.
pub fn plan(args: &PlanArgs, settings: &Settings) -> Result<(), CliError> {
    let (workspace, plan) = match &args.out {
        None => planned(settings, &args.targets)?,
        Some(file) => {
            let cancel = run::cancellable()?;
            let handout = Workspace::to_hand_out(settings, Purpose::Plan, &cancel, &quiet(settings))?;
            let (drawn, plan) = drawn(&handout, &args.targets)?;
            publish_file(file, &drawn.to_json())?;
            if settings.verbosity != Verbosity::Quiet {
                stderr::line(&format!("{}: {}", file.display(), drawn.summary()));
            }
            (handout.workspace, plan)
        }
    };
    let warnings = &workspace.assembly.warnings;
    if settings.is_json() {
        let nodes = plan.nodes.iter().map(node_line).collect();
        stdout::print_json(&PlanLine { event: "plan", is_current: plan.is_current(), nodes, warnings })?;
    } else {
        warnings.iter().for_each(|w| stderr::line(&format!("warning: {w}")));
        stdout::tell(&text(&plan))?;
    }
    if args.check && !plan.is_current() { Err(CliError::CheckFailed) } else { Ok(()) }
}

/// Plans without running; also for the verbs that show a plan otherwise.
///
/// # Errors
/// [`CliError`] of the configuration, the store or the data set.
pub fn planned(settings: &Settings, targets: &[String]) -> Result<(Workspace, Plan), CliError> {
    let workspace = Workspace::to_plan(settings, &quiet(settings))?;
    let Workspace { assembly, store, config, .. } = &workspace;
    let plan = mlsm_engine::plan(&assembly.graph, store, &config.name, targets)?;
    Ok((workspace, plan))
}

/// A plan has no events of its own, and JSON on stdout must stay one document.
fn quiet(settings: &Settings) -> View {
    if settings.is_json() || settings.verbosity == Verbosity::Quiet { View::Quiet } else { View::new(settings) }
}

/// Draws the plan of work for many machines, and keeps the list of its photos in the store.
///
/// # Errors
/// [`CliError::Usage`] while photos or weights that units read do not exist; [`CliError::Engine`], [`CliError::Store`].
pub fn drawn(handout: &Handout, targets: &[String]) -> Result<(WorkPlan, Plan), CliError> {
    let Workspace { assembly, store, config } = &handout.workspace;
    let inputs = assembly.graph.nodes().iter().flat_map(|node| &node.units).flat_map(|unit| &unit.inputs);
    let mut pending = inputs.filter_map(|input| match &input.source {
        InputSource::Pending(reason) => Some(reason.clone()),
        _ => None,
    });
    if let Some(reason) = pending.next() {
        let fix = "bring it there with `mlsm run ingest` or `mlsm weights fetch`; `mlsm submit` draws and unpacks photos itself";
        return Err(CliError::usage("the units are not known yet", reason, fix));
    }
    #[expect(clippy::disallowed_methods, reason = "how long it takes to look for the units")]
    let begun = Instant::now();
    let plan = mlsm_engine::plan(&assembly.graph, store, &config.name, targets)?;
    let took = handout.took + begun.elapsed();
    let mut drawn = work_plan::draw(config, &assembly.graph, &plan, &store.runs().list()?, took);
    if !drawn.units.is_empty() {
        drawn.photos = Some(PhotoList::keep(&config.config, &handout.scene, &plan, store)?);
    }
    Ok((drawn, plan))
}

/// Names an action as in JSON.
pub fn word(action: Action) -> &'static str {
    match action {
        Action::Execute => "execute",
        Action::Reuse => "reuse",
        Action::Unknown => "unknown",
    }
}

fn node_line(node: &NodePlan) -> NodeLine<'_> {
    NodeLine {
        node: &node.node,
        stage: node.stage,
        action: node.action,
        reason: &node.reason,
        fingerprint: node.fingerprint.map(|f| f.to_string()),
        shards: counts(&node.units),
    }
}

fn counts(units: &[UnitPlan]) -> Counts {
    let of = |action| units.iter().filter(|u| u.action == action).count();
    Counts { execute: of(Action::Execute), reuse: of(Action::Reuse), unknown: of(Action::Unknown) }
}

fn text(plan: &Plan) -> String {
    let mut table = TextTable::new(&[
        ("node", Align::Name),
        ("action", Align::Left),
        ("units", Align::Right),
        ("why", Align::Text),
    ]);
    for node in &plan.nodes {
        let Counts { execute, .. } = counts(&node.units);
        let units = format!("{execute}/{}", node.units.len());
        table.row(vec![node.node.clone(), word(node.action).to_owned(), units, node.reason.clone()]);
    }
    let of = |action| plan.nodes.iter().filter(|n| n.action == action).count();
    let (execute, reuse, unknown) = (of(Action::Execute), of(Action::Reuse), of(Action::Unknown));
    format!("{}\n{execute} to execute, {reuse} to reuse, {unknown} unknown until then\n", table.fit(terminal::width()))
}
