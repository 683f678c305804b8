//! `mlsm predict`: tells photos of one's own apart, by a few labelled ones.

use std::path::PathBuf;

use clap::Args;
use mlsm_data::OwnPhotos;
use mlsm_engine::RunOptions;
use mlsm_pipelines::{Assembly, Execution, Preparation, Purpose, assemble, prepare_beside};
use mlsm_store::Access;

use crate::cmd::query::answer::{Answer, AnswerArgs};
use crate::cmd::run;
use crate::error::CliError;
use crate::render::view::View;
use crate::render::{json, stderr};
use crate::settings::{Settings, Verbosity};

/// The preset that predicts when no configuration is named.
const PRESET: &str = "own";

/// What the names of nodes that predict begin with.
const NODE: &str = "predict:";

/// Which photos, and by what.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// Labelled photos: a folder with a folder of photos for each class
    #[arg(long, value_name = "DIR")]
    support: PathBuf,
    /// Photos to be told apart: a folder, with or without folders in it, or one photo
    #[arg(long, value_name = "DIR|PHOTO")]
    query: PathBuf,
    /// The row of the configuration that predicts; not needed where it has but one
    #[arg(long, value_name = "ROW")]
    row: Option<String>,
    #[command(flatten)]
    answer: AnswerArgs,
}

/// Predicts: what the configuration learns is learnt first, unless it is there.
///
/// # Errors
/// [`CliError`] of the set-up, of the first node that failed, or [`CliError::Cancelled`].
pub fn predict(args: &PredictArgs, settings: &Settings) -> Result<(), CliError> {
    let cancel = run::cancellable()?;
    args.answer.format(settings)?; // refused before anything is computed
    let view = View::new(settings);
    let config = settings.load_config_or(PRESET)?;
    let own = OwnPhotos::open(&args.support, &args.query, config.config.data.follow_links)?;
    let store = settings.open_store(Access::ReadWrite)?;
    let preparation = Preparation { store: &store, purpose: Purpose::Run, cancel: &cancel, subscriber: &view };
    let scene = prepare_beside(own, &config.config, &preparation)?;
    let assembly = assemble(&config.config, &scene, &Execution { device: settings.device })?;
    assembly.warnings.iter().for_each(|warning| view.warn(warning));
    let node = chosen(&assembly, args.row.as_deref())?;
    let mut identity = run::identity(settings, &config);
    identity.config_name = format!("{}+predict", config.name); // the last run of the configuration stays the last
    let options = RunOptions { targets: vec![node.clone()], threads: settings.threads, ..RunOptions::default() };
    let report = mlsm_engine::run(&assembly.graph, &store, &identity, &options, &cancel, &view, &crate::clock::now)?;
    let report = run::ended_well(report)?;
    let outputs = report.manifests[&node].values().flat_map(|manifest| &manifest.outputs);
    let digest = outputs.map(|(_, output)| output.digest).next().expect("a node that predicts has one output");
    let answer = Answer::read(&store.open_blob(&digest)?)?;
    let unread = answer.missing("score");
    if unread > 0 && settings.verbosity != Verbosity::Quiet {
        stderr::line(&format!("{unread} photos could not be read: nothing is predicted of them"));
    }
    answer.deliver(&args.answer, settings)?;
    json::stream().release(); // the answer is the last line
    Ok(())
}

/// Chooses the node that predicts.
fn chosen(assembly: &Assembly, row: Option<&str>) -> Result<String, CliError> {
    let rows: Vec<&str> = assembly.graph.nodes().iter().filter_map(|node| node.id.strip_prefix(NODE)).collect();
    let list = || rows.iter().map(|row| format!("--row '{row}'")).collect::<Vec<_>>().join(", ");
    match row {
        Some(row) if rows.contains(&row) => Ok(format!("{NODE}{row}")),
        Some(row) => Err(CliError::usage(format!("no row {row}"), "the configuration has no such row", list())),
        None if rows.len() == 1 => Ok(format!("{NODE}{}", rows[0])),
        None => {
            let why = format!("the configuration has {} rows", rows.len());
            Err(CliError::usage("which row is to predict?", why, list()))
        }
    }
}
