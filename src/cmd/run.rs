//! `mlsm run`: computes what is missing, publishes the tables, prints the results.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use mlsm_engine::{Action, Cancel, Event, Extent, Node, NodeSummary, Outcome, RunIdentity, RunOptions, RunReport};
use mlsm_errors::{Explain, Explanation, Fix};
use mlsm_nets::{Device, DeviceChoice};
use mlsm_pipelines::results::Summary;
use mlsm_store::{Published, publish_file};

use crate::clock;
use crate::cmd::query::catalogue::{self, Table};
use crate::cmd::{config, report};
use crate::error::CliError;
use crate::render::metrics::{self, RunMetrics};
use crate::render::view::View;
use crate::render::{json, lineage, stderr, stdout, summary, terminal};
use crate::settings::{NamedConfig, Settings, Verbosity, Waiting};
use crate::signals;
use crate::workspace::Workspace;

/// What to bring up to date, and how.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Stages or nodes to bring up to date with all they need; none means everything
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Stops after this stage
    #[arg(long, value_name = "STAGE")]
    until: Vec<String>,
    /// Computes the targets alone, and refuses when what they need has not been computed
    #[arg(long, requires = "targets")]
    only: bool,
    /// Computes this stage or node though its artifacts are there; may be repeated
    #[arg(long, value_name = "STAGE")]
    force: Vec<String>,
    /// Goes on with nodes that do not depend on a failed one
    #[arg(long)]
    keep_going: bool,
    /// Fails with exit code 5 instead of waiting for another run
    #[arg(long)]
    no_wait: bool,
    /// Refuses artifacts that were made on another kind of device
    #[arg(long)]
    strict_device: bool,
    /// Stops at the next checkpoint after this time, such as 90s or 2h30m, with exit code 130; the same command goes on
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    max_time: Option<Duration>,
    /// Writes how the run went to this file, in the text format of Prometheus
    #[arg(long, value_name = "FILE")]
    metrics_file: Option<PathBuf>,
    /// Adds every event to the end of this file, as JSON lines, whatever is shown besides
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// Adds OpenLineage events to the end of this file, or sends them to this service [env: OPENLINEAGE_URL]
    #[arg(long, value_name = "FILE|URL")]
    lineage: Option<String>,
}

impl RunArgs {
    fn options(&self, settings: &Settings, device: Option<Device>) -> RunOptions {
        RunOptions {
            targets: self.targets.iter().chain(&self.until).cloned().collect(),
            extent: if self.targets.is_empty() && self.until.is_empty() { Extent::Whole } else { Extent::Stages },
            force: self.force.clone(),
            keep_going: self.keep_going,
            no_wait: self.no_wait,
            threads: settings.threads,
            only_from: device.filter(|_| self.strict_device).map(kind_of),
        }
    }
}

/// Runs the pipeline.
///
/// # Errors
/// [`CliError`] of the set-up, of the first node that failed, or [`CliError::Cancelled`].
pub fn run(args: &RunArgs, settings: &Settings) -> Result<(), CliError> {
    if let Some(limit) = args.max_time {
        signals::stop_after(limit);
    }
    if let Some(file) = &args.log_file {
        json::log().begin_in(file)?;
    }
    if let Some(target) = lineage::target(args.lineage.as_deref())? {
        lineage::stream().begin(target, &settings.config_name())?;
    }
    let view = View::new(settings);
    let result = computed_with_metrics(args, settings, &view).map_err(CliError::with_cause);
    if let Some(lost) = lineage::stream().finish(result.as_ref().err()) {
        view.send(&warning(lost));
    }
    result
}

/// Computes, and writes the metrics of it where they are wanted.
fn computed_with_metrics(args: &RunArgs, settings: &Settings, view: &View) -> Result<(), CliError> {
    #[expect(clippy::disallowed_methods, reason = "how long the run took")]
    let begun = Instant::now();
    let mut found = Found::default();
    let result = compute(args, settings, view, &mut found);
    let Some(file) = &args.metrics_file else { return result };
    let text = metrics::to_text(&RunMetrics {
        config: &settings.config_name(),
        exit_code: result.as_ref().err().map_or(0, CliError::exit_code),
        finished: clock::since_epoch(),
        took: begun.elapsed(),
        nodes: &found.nodes,
        results: found.results.as_ref(),
    });
    let written = publish_file(file, text.as_bytes()).map_err(CliError::from);
    match (result, written) {
        (Err(error), Err(unwritten)) => {
            stderr::print(&unwritten.render());
            Err(error)
        }
        (result, written) => result.and(written),
    }
}

/// What is known of a run, however far it came.
#[derive(Default)]
struct Found {
    nodes: Vec<NodeSummary>,
    results: Option<Summary>,
}

fn compute(args: &RunArgs, settings: &Settings, view: &View, found: &mut Found) -> Result<(), CliError> {
    let cancel = cancellable()?;
    let device = device(args, settings)?;
    let waiting = if args.no_wait { Waiting::Refused } else { Waiting::Allowed };
    let all = |event: &Event| view.send(event);
    let workspace = Workspace::to_run(settings, waiting, &cancel, &all)?;
    workspace.assembly.warnings.iter().for_each(|text| all(&warning(text.clone())));
    if lineage::stream().is_open() {
        lineage::stream().plan(&plan(settings, &workspace));
    }
    let identity = identity(settings, &workspace.config);
    let options = args.options(settings, device);
    if args.only {
        refuse_missing(&workspace, &options.targets)?;
    }
    let Workspace { store, assembly, .. } = &workspace;
    let report = mlsm_engine::run(&assembly.graph, store, &identity, &options, &cancel, &all, &clock::now)?;
    let published = if report.outcome == "ok" && options.targets.is_empty() {
        publish(settings, &workspace, &report).map(Some)
    } else {
        Ok(None)
    };
    found.nodes.clone_from(&report.nodes);
    tell(settings, &report, published.as_ref().ok().and_then(Option::as_ref))?;
    found.results = published?.filter(|_| args.metrics_file.is_some()).map(|p| report::read(&p)).transpose()?;
    ended_well(report).map(drop)
}

/// Says something that belongs to no node.
fn warning(message: String) -> Event {
    Event::Warning { node: String::new(), message }
}

/// What lineage says of the run besides its events.
fn plan<'a>(settings: &Settings, workspace: &'a Workspace) -> lineage::Plan<'a> {
    let Workspace { assembly, config, .. } = workspace;
    let given = config::keys(&config.config.resolved()).into_iter().filter(|(key, _)| config.origins.contains_key(key));
    let parameters = given.map(|(key, value)| (key, value.to_string())).collect();
    lineage::Plan { store: settings.address(), config: &config.config, assembly, parameters }
}

/// Prepares for work that a signal stops.
///
/// # Errors
/// [`CliError::Usage`] where signals cannot be listened to.
pub fn cancellable() -> Result<Cancel, CliError> {
    mlsm_nets::keep_heap();
    Ok(signals::cancel())
}

/// Lets a report pass whose nodes are all there.
///
/// # Errors
/// [`CliError::Cancelled`]; [`CliError::Nodes`] with the errors of those that failed.
pub fn ended_well(report: RunReport) -> Result<RunReport, CliError> {
    match report.outcome {
        "ok" => Ok(report),
        "cancelled" => Err(CliError::Cancelled),
        _ => Err(CliError::Nodes(report.errors)),
    }
}

/// Names the nodes that targets read and that are not there, so that nothing is computed which nobody asked for: an
/// untrained model is never measured, and never trained by the way.
fn refuse_missing(workspace: &Workspace, targets: &[String]) -> Result<(), CliError> {
    let Workspace { store, assembly, config, .. } = workspace;
    let plan = mlsm_engine::plan(&assembly.graph, store, &config.name, targets)?;
    let is_target = |node: &Node| targets.iter().any(|target| *target == node.id || *target == node.stage);
    let is_missing = |id: &str| plan.nodes.iter().any(|n| n.node == id && n.action != Action::Reuse);
    for node in assembly.graph.nodes().iter().filter(|node| is_target(node)) {
        // The last of them comes latest in the pipeline: to run it runs the others, too.
        let read = assembly.graph.upstream(node).map(|index| (index, assembly.graph.node(index)));
        let missing = read.filter(|(_, read)| !is_target(read) && is_missing(&read.id)).max_by_key(|(index, _)| *index);
        if let Some((_, missing)) = missing {
            return Err(CliError::usage(
                format!("{} cannot be computed alone", node.id),
                format!("it reads {}, which has not been computed, and --only computes nothing else", missing.id),
                format!("mlsm run '{}', or leave --only out", missing.id),
            ));
        }
    }
    Ok(())
}

/// Resolves the device before anything else when it is named or matters, so that a missing one costs no work.
fn device(args: &RunArgs, settings: &Settings) -> Result<Option<Device>, CliError> {
    if !args.strict_device && !matches!(settings.device, DeviceChoice::Cuda(_)) {
        return Ok(None); // finding CUDA takes a moment that a run without work need not spend
    }
    let found = mlsm_nets::pick(settings.device).map_err(|e| {
        let said = Explanation::new(format!("cannot use device `{}`", settings.device_name));
        CliError::Usage(said.caused_by(e.explain()).fix(Fix::OtherDevice).fix("install a libtorch with CUDA"))
    })?;
    Ok(Some(found))
}

fn kind_of(device: Device) -> String {
    if device.is_cuda() { "cuda".to_owned() } else { "cpu".to_owned() }
}

/// Names a run that begins now.
pub fn identity(settings: &Settings, config: &NamedConfig) -> RunIdentity {
    RunIdentity {
        run_id: clock::run_id(),
        config_name: config.name.clone(),
        config_digest: config.config.digest(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        device: settings.device_name.clone(),
    }
}

/// Lays the tables out unless they lie there already, whole; returns them.
fn publish(settings: &Settings, workspace: &Workspace, report: &RunReport) -> Result<Published, CliError> {
    let Workspace { store, assembly, config } = workspace;
    lineage::stream().publishing();
    if !(report.is_all_cached() && assembly.is_published(store, report)) {
        // The tables are those of the run that made all this.
        assembly.publish(store, &report.recorded_as, &config.config, report)?;
    }
    let published = report::published(store, None)?;
    if lineage::stream().is_open() {
        lineage::stream().published(published.run_id(), &tables(settings, &published)?);
    }
    Ok(published)
}

/// Lists the published tables for lineage, by the folder that stays the same from run to run.
fn tables(settings: &Settings, published: &Published) -> Result<Vec<lineage::Table>, CliError> {
    let current = report::current(&settings.store);
    let current = std::path::absolute(&current).unwrap_or(current);
    let tables = catalogue::tables(published)?.into_iter();
    Ok(tables.map(|Table { name, files }| lineage::Table { folder: current.join(&name), name, files }).collect())
}

/// Prints what came out: where the tables lie, or the results for people.
fn tell(settings: &Settings, report: &RunReport, published: Option<&Published>) -> Result<(), CliError> {
    let tables = report::current(&settings.store);
    if published.is_some() {
        json::add("tables", &tables.to_string_lossy());
    }
    if settings.is_json() {
        return Ok(());
    }
    if let Some(published) = published {
        stdout::tell(&summary::to_text(&report::read(published)?, terminal::width()))?;
        stdout::tell(&format!(
            "\ntables:    {}   (`mlsm tables`, `mlsm query \"SELECT …\"`)\nartifacts: {}\n",
            tables.display(),
            settings.store.join("blobs").display()
        ))?;
    }
    if settings.verbosity != Verbosity::Quiet {
        stderr::line(&counts(report));
    }
    Ok(())
}

/// Counts nodes by how they ended, in a line.
pub fn counts(report: &RunReport) -> String {
    let kinds = [Outcome::Executed, Outcome::Cached, Outcome::Failed, Outcome::Skipped, Outcome::Cancelled];
    let count = |outcome| report.nodes.iter().filter(|n| n.outcome == outcome).count();
    let told = kinds.map(|outcome| (count(outcome), metrics::word(outcome)));
    // "0 executed" is what a second run is asked about, so the first two are always told.
    let words =
        told.iter().enumerate().filter(|(i, (n, _))| *i < 2 || *n > 0).map(|(_, (n, word))| format!("{n} {word}"));
    format!("{} nodes: {}", report.nodes.len(), words.collect::<Vec<_>>().join(", "))
}
