//! `mlsm similar`: the photos of a folder that resemble a photo most.

use std::path::PathBuf;

use clap::Args;
use mlsm_data::OwnPhotos;
use mlsm_engine::RunOptions;
use mlsm_errors::Explanation;
use mlsm_pipelines::similar::{self, Ranking};
use mlsm_pipelines::support::Made;
use mlsm_pipelines::{Execution, Preparation, Purpose, assemble, prepare_beside};
use mlsm_store::Access;
use polars::prelude::{Column, DataFrame, PolarsError, PolarsResult};

use crate::cmd::predict::labelled::links;
use crate::cmd::predict::{PRESET, chosen};
use crate::cmd::query::answer::{Answer, AnswerArgs};
use crate::cmd::run;
use crate::error::CliError;
use crate::render::view::View;
use crate::render::{json, stderr};
use crate::settings::{Settings, Verbosity};
use crate::workspace::objects;

/// Which photo, and among which.
#[derive(Debug, Args)]
pub struct SimilarArgs {
    /// The photo
    photo: PathBuf,
    /// The photos that it is compared with: a folder, with or without folders in it, or those of the configuration, named by
    /// the node whose embeddings are compared, such as `extract:conv`
    #[arg(long = "in", value_name = "DIR|NODE")]
    among: PathBuf,
    /// How many photos are listed
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// The row of the configuration whose embeddings are compared, one of nearest class means; not needed where it has but one
    #[arg(long, value_name = "ROW")]
    row: Option<String>,
    #[command(flatten)]
    answer: AnswerArgs,
}

/// Lists the photos that resemble one most; only photos without stored embeddings are computed.
///
/// # Errors
/// [`CliError`] of the set-up, of the photos, or of the first node that failed.
pub fn similar(args: &SimilarArgs, settings: &Settings) -> Result<(), CliError> {
    let cancel = run::cancellable()?;
    args.answer.format(settings)?; // refused before anything is computed
    let view = View::new(settings);
    let config = settings.load_config_or(PRESET)?;
    let node = args.among.to_str().filter(|name| name.starts_with(similar::EXTRACT) && !args.among.exists());
    if let (Some(node), Some(row)) = (node, &args.row) {
        let why = format!("the photos of {node} are compared by its own embeddings");
        return Err(CliError::usage(format!("cannot compare them by row {row}"), why, "leave --row out"));
    }
    let folder = node.is_none().then_some(args.among.as_path());
    let own = OwnPhotos::compared(&args.photo, folder, links(&config.config))?;
    let store = settings.open_store(Access::ReadWrite)?;
    let with =
        Preparation { store: &store, purpose: Purpose::Run, cancel: &cancel, subscriber: &view, objects: &objects };
    let scene = prepare_beside(own, &config.config, &with)?;
    let whole = assemble(&config.config, &scene, &Execution { device: settings.device })?;
    let node = match node {
        Some(node) => whole.graph.check_name(node).map(|()| node.to_owned())?,
        None => chosen(&whole, args.row.as_deref())?,
    };
    let row = similar::embeddings(&whole.graph, &node);
    let assembly = similar::wire(whole, &scene, &node)?;
    assembly.warnings.iter().for_each(|warning| view.warn(warning));
    let mut identity = run::identity(settings, &config);
    identity.config_name = format!("{}+similar", config.name); // the last run of the configuration stays the last
    let options = RunOptions { threads: settings.threads, ..RunOptions::default() };
    let report = mlsm_engine::run(&assembly.graph, &store, &identity, &options, &cancel, &view, &crate::clock::now)?;
    let report = run::ended_well(report)?;
    let made = Made { assembly: &assembly, scene: &scene, node: &node, report: &report, store: &store };
    let ranking = similar::rank(&made, &row)?;
    if !ranking.unread.is_empty() && settings.verbosity != Verbosity::Quiet {
        stderr::line(&format!("photos that could not be read, and are not compared: {}", ranking.unread.len()));
    }
    let unmade = |e: PolarsError| CliError::BadData(Explanation::defect(format!("cannot make the table: {e}")));
    Answer::of(table(&ranking, args.top as usize).map_err(unmade)?).deliver(&args.answer, settings)?;
    json::stream().release(); // the answer is the last line
    Ok(())
}

/// A line for each photo, the most similar first.
fn table(ranking: &Ranking, top: usize) -> PolarsResult<DataFrame> {
    let photos = &ranking.photos[..top.min(ranking.photos.len())];
    DataFrame::new_infer_height(vec![
        Column::new("rank".into(), (1..=photos.len() as u32).collect::<Vec<_>>()),
        Column::new("path".into(), photos.iter().map(|photo| photo.path.as_str()).collect::<Vec<_>>()),
        Column::new("score".into(), photos.iter().map(|photo| photo.score).collect::<Vec<_>>()),
    ])
}
