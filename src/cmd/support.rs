//! `mlsm support`: a file that keeps what labelled photos give, so that `mlsm predict` needs them no more.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use mlsm_data::OwnPhotos;
use mlsm_engine::{RunOptions, RunReport};
use mlsm_pipelines::support::{Made, NewPhotos, Support, refuse_pixels};
use mlsm_pipelines::{Execution, Preparation, Purpose, assemble, prepare_beside};
use mlsm_store::{Access, Store};
use serde::Serialize;

use crate::cmd::predict::labelled::{Prepared, config_of, links, wired};
use crate::cmd::predict::{PRESET, chosen};
use crate::cmd::run;
use crate::error::CliError;
use crate::render::table::{Align, TextTable};
use crate::render::view::View;
use crate::render::{json, stdout, terminal};
use crate::settings::Settings;
use crate::workspace::objects;

/// What to do with a support file.
#[derive(Debug, Args)]
pub struct SupportArgs {
    /// Build, list, add or remove
    #[command(subcommand)]
    pub action: SupportAction,
}

/// What can be done with a support file.
#[derive(Debug, Subcommand)]
pub enum SupportAction {
    /// Computes the features of labelled photos and keeps them in a file, for `mlsm predict --support FILE`
    Build {
        /// Labelled photos: a folder with a folder of photos for each class
        #[arg(value_name = "DIR")]
        folder: PathBuf,
        /// The file; one that is there is replaced
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// The row of the configuration that is to predict; not needed where it has but one
        #[arg(long, value_name = "ROW")]
        row: Option<String>,
    },
    /// Lists the classes of a file, how many photos each has, and by what it predicts
    List {
        /// The file
        file: PathBuf,
    },
    /// Adds classes, or photos to classes that are there; photos that the file has already change nothing
    Add {
        /// The file
        file: PathBuf,
        /// Labelled photos: a folder with a folder of photos for each class
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Removes classes with all their photos
    Remove {
        /// The file
        file: PathBuf,
        /// The names of the classes
        #[arg(required = true, value_name = "CLASS")]
        classes: Vec<String>,
    },
}

/// A file as JSON.
#[derive(Serialize)]
struct FileLine<'a> {
    file: String,
    config: &'a str,
    row: &'a str,
    program: &'a str,
    weights: Vec<String>,
    classes: Vec<ClassLine<'a>>,
}

/// A class as JSON.
#[derive(Serialize)]
struct ClassLine<'a> {
    class_name: &'a str,
    photos: usize,
}

/// Builds, lists or changes a support file.
///
/// # Errors
/// [`CliError`] of the file, of the photos, or of the first node that failed.
pub fn support(action: &SupportAction, settings: &Settings) -> Result<(), CliError> {
    match action {
        SupportAction::Build { folder, out, row } => build(folder, out, row.as_deref(), settings),
        SupportAction::List { file } => tell(file, &Support::read(file)?, settings),
        SupportAction::Add { file, folder } => add(file, folder, settings),
        SupportAction::Remove { file, classes } => {
            let mut support = Support::read(file)?;
            support.remove(classes)?;
            support.write()?;
            tell(file, &support, settings)
        }
    }
}

fn build(folder: &Path, out: &Path, row: Option<&str>, settings: &Settings) -> Result<(), CliError> {
    let cancel = run::cancellable()?;
    let view = View::new(settings);
    let config = settings.load_config_or(PRESET)?;
    let own = OwnPhotos::labelled(folder, links(&config.config))?;
    let store = settings.open_store(Access::ReadWrite)?;
    let with =
        Preparation { store: &store, purpose: Purpose::Run, cancel: &cancel, subscriber: &view, objects: &objects };
    let scene = prepare_beside(own, &config.config, &with)?;
    let assembly = assemble(&config.config, &scene, &Execution { device: settings.device })?;
    let node = chosen(&assembly, row)?;
    refuse_pixels(&assembly.graph, &node)?;
    let prepared = Prepared { config, scene, assembly, node };
    let report = computed(&prepared, vec![prepared.node.clone()], (&store, &view), settings)?;
    let config = (prepared.config.name.as_str(), &prepared.config.config);
    let support = Support::gather(&made(&prepared, &report, &store), config, out)?;
    support.write()?;
    tell(out, &support, settings)
}

fn add(file: &Path, folder: &Path, settings: &Settings) -> Result<(), CliError> {
    let cancel = run::cancellable()?;
    let view = View::new(settings);
    let mut support = Support::read(file)?;
    let config = config_of(&support)?;
    let own = support.joining(folder, links(&config.config))?;
    let store = settings.open_store(Access::ReadWrite)?;
    let with =
        Preparation { store: &store, purpose: Purpose::Run, cancel: &cancel, subscriber: &view, objects: &objects };
    let prepared = wired(&support, config, (own, NewPhotos::Joining), &with, settings)?;
    if !prepared.assembly.graph.nodes().is_empty() {
        let report = computed(&prepared, Vec::new(), (&store, &view), settings)?;
        support.add(&made(&prepared, &report, &store))?;
        support.write()?;
    }
    tell(file, &support, settings)
}

/// Computes what the file is to hold.
fn computed(
    prepared: &Prepared,
    targets: Vec<String>,
    (store, view): (&Store, &View),
    settings: &Settings,
) -> Result<RunReport, CliError> {
    let Prepared { config, assembly, .. } = prepared;
    assembly.warnings.iter().for_each(|warning| view.warn(warning));
    let mut identity = run::identity(settings, config);
    identity.config_name = format!("{}+support", config.name); // the last run of the configuration stays the last
    let options = RunOptions { targets, threads: settings.threads, ..RunOptions::default() };
    let cancel = run::cancellable()?;
    let report = mlsm_engine::run(&assembly.graph, store, &identity, &options, &cancel, view, &crate::clock::now)?;
    run::ended_well(report)
}

fn made<'a>(prepared: &'a Prepared, report: &'a RunReport, store: &'a Store) -> Made<'a> {
    let Prepared { scene, assembly, node, .. } = prepared;
    Made { assembly, scene, node, report, store }
}

/// Says what a file holds.
fn tell(file: &Path, support: &Support, settings: &Settings) -> Result<(), CliError> {
    let classes = support.classes();
    let weights = support.weights().iter().map(|(name, digest)| format!("train-base.{name} {}", digest.short()));
    if settings.is_json() {
        let lines = classes.iter().map(|(name, photos)| ClassLine { class_name: name, photos: photos.len() });
        let line = FileLine {
            file: file.display().to_string(),
            config: support.preset(),
            row: support.row(),
            program: support.program(),
            weights: weights.collect(),
            classes: lines.collect(),
        };
        stdout::print_json(&line)?;
        json::stream().release(); // the answer is the last line
        return Ok(());
    }
    let photos: usize = classes.values().map(Vec::len).sum();
    let mut table = TextTable::new(&[("class", Align::Name), ("labelled photos", Align::Right)]);
    classes.iter().for_each(|(name, photos)| table.row(vec![(*name).to_owned(), photos.len().to_string()]));
    let weights: String = weights.map(|weights| format!("imported weights: {weights}\n")).collect();
    stdout::tell(&format!(
        "{}\n{}: {} classes, {photos} labelled photos\npredicts by {}, a row of {}\n{weights}",
        table.fit(terminal::width()),
        file.display(),
        classes.len(),
        support.row(),
        support.preset(),
    ))
}
