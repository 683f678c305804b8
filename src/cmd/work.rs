//! `mlsm work`: computes some units of a plan, on any machine that sees the store.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::Args;
use mlsm_engine::{Event, Extent, Graph, RunOptions, RunReport, StageError, UnitRef};
use mlsm_errors::{Explanation, Fix};
use mlsm_pipelines::{Execution, ListedScene, Preparation, Purpose, assemble};
use mlsm_store::{Access, StoreError};

use crate::clock;
use crate::cmd::run;
use crate::error::CliError;
use crate::render::view::View;
use crate::render::{json, stderr};
use crate::settings::{NamedConfig, Settings, Verbosity};
use crate::work_plan::{PlannedUnit, WorkPlan};
use crate::workspace::objects;

/// How often damaged artifacts of photos are made anew before it gives up.
const REPAIRS: usize = 8;

/// Which units.
#[derive(Debug, Args)]
#[command(
    after_help = "The configuration is the plan's. What a unit reads and nobody has computed yet is computed first, \
                        and what another machine computes is waited for: tasks may run in any order, twice, and at once."
)]
pub struct WorkArgs {
    /// The plan that `mlsm plan --out` wrote
    #[arg(long, value_name = "FILE")]
    plan: PathBuf,
    /// The task to do, counted from 0; may be repeated
    #[arg(long, value_name = "N", required_unless_present = "unit")]
    task: Vec<usize>,
    /// The unit to compute, counted from 0, or a range such as 4-9; may be repeated
    #[arg(long, value_name = "N|N-M", value_parser = range)]
    unit: Vec<RangeInclusive<usize>>,
    /// Adds every event to the end of this file, as JSON lines, whatever is shown besides
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
}

/// Computes the units.
///
/// # Errors
/// [`CliError`] of the plan, of the set-up, of the first unit that failed, or [`CliError::Cancelled`].
pub fn work(args: &WorkArgs, settings: &Settings) -> Result<(), CliError> {
    if settings.has_configuration() {
        let why = "work takes its configuration from the plan";
        return Err(CliError::usage("two configurations", why, "leave out --config and --set, and unset MLSM_CONFIG"));
    }
    if let Some(file) = &args.log_file {
        json::log().begin_in(file)?;
    }
    let plan = WorkPlan::read(&args.plan)?;
    let positions = positions(args, &plan)?;
    let cancel = run::cancellable()?;
    let view = View::new(settings);
    let all = |event: &Event| view.send(event);
    let store = settings.open_store(Access::ReadWrite)?;
    let with =
        Preparation { store: &store, purpose: Purpose::Run, cancel: &cancel, subscriber: &all, objects: &objects };
    let config = plan.configuration()?;
    let identity = run::identity(settings, &config);
    let options = RunOptions { extent: Extent::Units, threads: settings.threads, ..RunOptions::default() };
    let mut repairs = 0..REPAIRS;
    let report = loop {
        let part = part_of(&plan, &positions, &config, &with, settings)?;
        let report = mlsm_engine::run(&part, &store, &identity, &options, &cancel, &all, &clock::now)?;
        // What was damaged was set aside: now it is missing, and made anew of its photos.
        if !has_lost(&report) || repairs.next().is_none() {
            break report;
        }
    };
    if !settings.is_json() && settings.verbosity != Verbosity::Quiet {
        stderr::line(&run::counts(&report));
    }
    run::ended_well(report).map(drop)
}

/// Tells whether an artifact turned out to be damaged or gone that was taken for known.
fn has_lost(report: &RunReport) -> bool {
    let is_lost = |error: &StageError| {
        matches!(error, StageError::Store(StoreError::Damaged { .. } | StoreError::Missing { .. }))
    };
    report.errors.iter().any(|(_, error)| is_lost(error))
}

/// Returns the positions of the units that are asked for, each once.
fn positions(args: &WorkArgs, plan: &WorkPlan) -> Result<Vec<usize>, CliError> {
    let beyond = |what: &str, given: usize, last: usize| {
        let why = format!("the plan has {last} {what}s, counted from 0");
        CliError::usage(format!("there is no {what} {given}"), why, format!("give a {what} below {last}"))
    };
    let mut positions = std::collections::BTreeSet::new();
    for number in &args.task {
        let task = plan.tasks.get(*number).ok_or_else(|| beyond("task", *number, plan.tasks.len()))?;
        positions.extend(task.range());
    }
    for range in &args.unit {
        if *range.end() >= plan.units.len() {
            return Err(beyond("unit", *range.end(), plan.units.len()));
        }
        positions.extend(range.clone());
    }
    Ok(positions.into_iter().collect())
}

/// Assembles what the units need of the graph, over the list of the plan's photos: what is in the store already is known, and of
/// the list only the other shards are read. Looks at no folder of photos.
fn part_of(
    plan: &WorkPlan,
    positions: &[usize],
    config: &NamedConfig,
    with: &Preparation<'_>,
    settings: &Settings,
) -> Result<Graph, CliError> {
    let Some(list) = &plan.photos else { return Err(unfit("it names units, and no list of their photos")) };
    let execution = Execution { device: settings.device };
    let mut listed = ListedScene::open(&config.config, list, with)?;
    let outline = assemble(&config.config, listed.scene(), &execution)?.graph;
    let units = found(plan, positions, &outline)?;
    let needed = listed.read_for(&units, &outline, with.store)?;
    let graph = assemble(&config.config, listed.scene(), &execution)?.graph;
    Ok(needed.part_of(&graph)?)
}

/// Finds units of the plan in the graph of this machine.
fn found(plan: &WorkPlan, positions: &[usize], graph: &Graph) -> Result<Vec<UnitRef>, CliError> {
    let found = |at: &usize| {
        let PlannedUnit { node, unit, .. } = &plan.units[*at];
        let why = || format!("this program makes no unit {node} {unit} of its configuration and photos");
        graph.find(node, unit).ok_or_else(|| unfit(&why()))
    };
    positions.iter().map(found).collect()
}

fn unfit(why: &str) -> CliError {
    CliError::Usage(Explanation::new("cannot use the plan").because(why).fix(Fix::NewPlan))
}

fn range(text: &str) -> Result<RangeInclusive<usize>, String> {
    let number = |text: &str| text.parse::<usize>().map_err(|_| format!("`{text}` is no whole number"));
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?),
    };
    if first <= last { Ok(first..=last) } else { Err(format!("{first} comes after {last}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_named_one_by_one_or_as_a_range() {
        assert_eq!(range("7"), Ok(7..=7));
        assert_eq!(range("4-9"), Ok(4..=9));
        for wrong in ["", "x", "9-4", "1-", "-1", "1-2-3"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
