//! `mlsm predict`: tells photos of one's own apart, by a few labelled ones.

mod answer;
pub mod labelled;
mod page;

use std::path::PathBuf;

use clap::Args;
use mlsm_engine::{Event, RunOptions, RunReport};
use mlsm_errors::{Explain, Explanation};
use mlsm_pipelines::predictions::Predictions;
use mlsm_pipelines::{Assembly, Preparation, Purpose};
use mlsm_store::{Access, Store, publish_file};
use polars::prelude::PolarsError;

use self::labelled::{Labelled, Prepared};
use crate::cmd::query::answer::{Answer, AnswerArgs, Format};
use crate::cmd::run;
use crate::error::CliError;
use crate::render::report::predictions::to_html;
use crate::render::view::View;
use crate::render::{json, stderr};
use crate::settings::{Settings, Verbosity};
use crate::workspace::objects;

/// The preset that predicts when no configuration is named.
pub const PRESET: &str = "own";

/// What the names of nodes that predict begin with.
pub const NODE: &str = "predict:";

/// Which photos, and by what.
#[derive(Debug, Args)]
pub struct PredictArgs {
    /// Labelled photos: a folder with a folder of photos for each class, or a file that `mlsm support build` made of one
    #[arg(long, value_name = "DIR|FILE")]
    support: PathBuf,
    /// Photos to be told apart: a folder, with or without folders in it, or one photo
    #[arg(long, value_name = "DIR|PHOTO")]
    query: PathBuf,
    /// The row of the configuration that predicts; not needed where it has but one
    #[arg(long, value_name = "ROW")]
    row: Option<String>,
    /// Writes the N likeliest classes of each photo, on a line each
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "unknown_threshold")]
    top: Option<u32>,
    /// Writes `unknown` in place of a class that is less probable than this, from 0 to 1
    #[arg(long, value_name = "PROBABILITY", value_parser = probability)]
    unknown_threshold: Option<f64>,
    /// Writes a page to look at, too: each photo, its box, the labelled photos that it resembles, how sure; ends in .html
    #[arg(long, value_name = "FILE", value_parser = html)]
    report: Option<PathBuf>,
    /// Adds every event to the end of this file, as JSON lines, whatever is shown besides
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    #[command(flatten)]
    answer: AnswerArgs,
}

/// Predicts: what the configuration learns is learnt first, unless it is there.
///
/// # Errors
/// [`CliError`] of the set-up, of the first node that failed, or [`CliError::Cancelled`].
pub fn predict(args: &PredictArgs, settings: &Settings) -> Result<(), CliError> {
    let cancel = run::cancellable()?;
    let format = args.answer.format(settings)?; // refused before anything is computed
    if let Some(file) = &args.log_file {
        json::log().begin_in(file)?;
    }
    let view = View::new(settings);
    let all = |event: &Event| view.send(event);
    let labelled = Labelled::open(&args.support, &args.query, settings)?;
    if args.unknown_threshold.is_some() && labelled.own.classes().iter().any(|class| class.name == answer::UNKNOWN) {
        let (what, why) = ("a class is named `unknown`", "it could not be told from photos of no class");
        return Err(CliError::usage(what, why, "rename its folder, or leave the threshold out"));
    }
    let store = settings.open_store(Access::ReadWrite)?;
    let preparation =
        Preparation { store: &store, purpose: Purpose::Run, cancel: &cancel, subscriber: &all, objects: &objects };
    let Prepared { config, scene, assembly, node } = labelled.prepare(args.row.as_deref(), &preparation, settings)?;
    let warning = |message: &String| Event::Warning { node: String::new(), message: message.clone() };
    assembly.warnings.iter().for_each(|message| all(&warning(message)));
    let mut identity = run::identity(settings, &config);
    identity.config_name = format!("{}+predict", config.name); // the last run of the configuration stays the last
    let options = RunOptions { targets: vec![node.clone()], threads: settings.threads, ..RunOptions::default() };
    let report = mlsm_engine::run(&assembly.graph, &store, &identity, &options, &cancel, &all, &crate::clock::now)?;
    let report = run::ended_well(report)?;
    let predictions = read(&report, &node, &store)?;
    let comments = comments(&predictions, args.unknown_threshold);
    if settings.verbosity != Verbosity::Quiet {
        comments.iter().for_each(|line| stderr::line(line));
    }
    if let Some(path) = &args.report {
        let own = scene.source.own.as_ref().expect("the scene was prepared beside the own photos");
        let source = page::Source {
            own,
            graph: &assembly.graph,
            node: &node,
            run: &report.record,
            run_id: &report.recorded_as,
            store: &store,
        };
        let predicted = page::gather(&predictions, &source, args.unknown_threshold, comments)?;
        publish_file(path, to_html(&predicted).as_bytes())?;
    }
    let table = match args.top {
        Some(top) => answer::long(&predictions, top as usize),
        None => answer::wide(&predictions, args.unknown_threshold),
    };
    let table = if format == Format::Table { table.and_then(answer::rounded) } else { table };
    let unmade = |e: PolarsError| CliError::BadData(Explanation::defect(format!("cannot make the table: {e}")));
    let answer = Answer::of(table.map_err(unmade)?);
    answer.deliver(&args.answer, settings)?;
    json::stream().release(); // the answer is the last line
    Ok(())
}

/// Reads what a node predicted.
fn read(report: &RunReport, node: &str, store: &Store) -> Result<Predictions, CliError> {
    let outputs: Vec<_> = report.answers[node].values().flat_map(|answer| &answer.outputs).collect();
    let open = |name: &str| {
        let found = outputs.iter().find(|(output, _)| *output == name);
        store.open_blob(&found.expect("a node that predicts has both outputs").1.digest)
    };
    Predictions::read(&open("row")?, &open("predictions")?).map_err(|e| CliError::BadData(e.explain()))
}

/// Says beside the table what it cannot: photos without a prediction, and what the probabilities rest on.
fn comments(predictions: &Predictions, unknown_threshold: Option<f64>) -> Vec<String> {
    let mut lines = Vec::new();
    let photos = predictions.photos.len();
    let unread = predictions.photos.iter().filter(|photo| photo.ranked.is_empty()).count();
    if unread > 0 {
        lines.push(format!("not predicted, because they could not be read: {unread} of {photos} photos"));
    }
    let certainty = &predictions.row.certainty;
    lines.push(match certainty.held_out {
        0 => "the probabilities are rough: no class has two labelled photos to check them on".to_owned(),
        n => format!(
            "predicted by the other labelled photos, {} of {n} labelled photos are right ({:.0} %); the probabilities are \
             fitted on them",
            certainty.right,
            100.0 * certainty.right as f64 / n as f64
        ),
    });
    if let Some(threshold) = unknown_threshold {
        let unknown = answer::unknown(predictions, threshold);
        lines.push(format!("unknown, because no class has a probability of {threshold}: {unknown} of {photos} photos"));
    }
    lines
}

fn probability(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("a probability is from 0 to 1".to_owned()) }
}

fn html(text: &str) -> Result<PathBuf, String> {
    let ending = std::path::Path::new(text).extension().unwrap_or_default().to_ascii_lowercase();
    if ending == "html" || ending == "htm" {
        Ok(text.into())
    } else {
        Err("the page is HTML: end the name in .html".to_owned())
    }
}

/// Chooses the node that predicts.
///
/// # Errors
/// [`CliError::Usage`] when there is no such row, or several and none is named.
pub fn chosen(assembly: &Assembly, row: Option<&str>) -> Result<String, CliError> {
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
