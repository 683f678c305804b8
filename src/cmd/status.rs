//! `mlsm status`: in short, which stages are up to date, who computes what, and how the last run went. With `--follow` the
//! same again and again, from the store alone, whoever works.

mod facts;
mod follow;

use clap::Args;
use mlsm_engine::{NodeProgress, Survey};
use mlsm_store::RunRecord;
use serde::Serialize;

use self::facts::Facts;
use crate::error::CliError;
use crate::render::view::View;
use crate::render::{stdout, terminal};
use crate::settings::{Settings, Verbosity};
use crate::workspace::Workspace;

/// How to look.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Goes on looking until everything is up to date. A terminal is drawn anew; into a pipe, and with `--output json`, goes one
    /// JSON document for each change
    #[arg(long)]
    follow: bool,
    /// How often it looks
    #[arg(long, value_name = "SECONDS", requires = "follow", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
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
struct StatusLine<'a> {
    config: &'a str,
    store: String,
    #[serde(flatten)]
    facts: &'a Facts,
    last_run: Option<RunLine>,
    tables: Option<String>,
}

/// Prints the status.
///
/// # Errors
/// [`CliError`] of the configuration, the store or the data set; [`CliError::Cancelled`] when following is stopped.
pub fn status(args: &StatusArgs, settings: &Settings) -> Result<(), CliError> {
    if args.follow {
        return follow::follow(args.every, settings);
    }
    let workspace = workspace(settings)?;
    let facts = Facts::of(&look(&mut Survey::new(&workspace.assembly.graph), &workspace)?);
    let line = line(&workspace, settings, &facts)?;
    if settings.is_json() { stdout::print_json(&line) } else { stdout::tell(&text(&line)) }
}

/// Opens everything to look at it; what that tells stays unsaid where stdout carries JSON.
fn workspace(settings: &Settings) -> Result<Workspace, CliError> {
    let is_silent = settings.is_json() || settings.verbosity == Verbosity::Quiet;
    let view = if is_silent { View::Quiet } else { View::new(settings) };
    Workspace::to_plan(settings, &view)
}

fn look(survey: &mut Survey<'_>, workspace: &Workspace) -> Result<Vec<NodeProgress>, CliError> {
    Ok(survey.look(&workspace.store)?)
}

fn line<'a>(workspace: &'a Workspace, settings: &Settings, facts: &'a Facts) -> Result<StatusLine<'a>, CliError> {
    let Workspace { store, config, .. } = workspace;
    Ok(StatusLine {
        config: &config.name,
        store: settings.address(),
        facts,
        last_run: store.runs().last(&config.name)?.map(run_line),
        tables: store.published(None)?.map(|published| published.run_id().to_owned()),
    })
}

fn run_line(run: RunRecord) -> RunLine {
    let RunRecord { run_id, started, finished, outcome, .. } = run;
    RunLine { run_id, started, finished, outcome }
}

fn text(status: &StatusLine<'_>) -> String {
    let last = match &status.last_run {
        Some(run) => format!("{}, {} ({} to {})", run.run_id, run.outcome, run.started, run.finished),
        None => "none yet".to_owned(),
    };
    let tables = status.tables.as_deref().unwrap_or("none yet");
    let StatusLine { config, store, facts, .. } = status;
    format!(
        "{}\nconfig:    {config}\nstore:     {store}\nlast run:  {last}\ntables of: {tables}\n{}\n",
        facts.text(terminal::width()),
        facts.verdict()
    )
}
