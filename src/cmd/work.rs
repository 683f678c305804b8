//! `mlsm work`: computes some units of a plan, on any machine that sees the store.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::Args;
use mlsm_engine::{Event, Extent, RunOptions, UnitRef};

use crate::clock;
use crate::cmd::run;
use crate::error::CliError;
use crate::render::view::View;
use crate::render::{json, stderr};
use crate::settings::{Settings, Verbosity, Waiting};
use crate::work_plan::WorkPlan;
use crate::workspace::Workspace;

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
    let config = plan.configuration()?;
    let workspace = Workspace::to_run_with(config, settings, Waiting::Allowed, &cancel, &all)?;
    let units: Vec<UnitRef> = positions.iter().map(|at| found(&plan, *at, &workspace)).collect::<Result<_, _>>()?;
    let part = workspace.assembly.graph.with_all_needed(&units).map_err(|e| CliError::Assemble(e.into()))?;
    let identity = run::identity(settings, &workspace.config);
    let options = RunOptions { extent: Extent::Units, threads: settings.threads, ..RunOptions::default() };
    let report = mlsm_engine::run(&part, &workspace.store, &identity, &options, &cancel, &all, &clock::now)?;
    if !settings.is_json() && settings.verbosity != Verbosity::Quiet {
        stderr::line(&run::counts(&report));
    }
    run::ended_well(report).map(drop)
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

/// Finds a unit of the plan in the graph of this machine.
fn found(plan: &WorkPlan, at: usize, workspace: &Workspace) -> Result<UnitRef, CliError> {
    let unit = &plan.units[at];
    workspace.assembly.graph.find(&unit.node, &unit.unit).ok_or_else(|| {
        CliError::usage(
            format!("there is no unit {} {}", unit.node, unit.unit),
            "the photos are not those that the plan was drawn for",
            "make the same photos visible here, or write the plan again with `mlsm plan --out`",
        )
    })
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
