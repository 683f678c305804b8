//! `mlsm export` and `mlsm import`: a trained network as one file, out of a store and into another.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use mlsm_engine::{Action, Graph};
use mlsm_pipelines::model_file::{ModelFile, ModelFileError};
use mlsm_store::Access;
use serde::Serialize;

use crate::error::CliError;
use crate::render::stdout;
use crate::render::view::View;
use crate::settings::Settings;
use crate::workspace::Workspace;

/// What the names of nodes begin with that learn rows.
const LEARNS: &str = "meta-train:";

/// What to export, and where to.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// A node that learns, such as `train-base:conv`; `mlsm plan` lists them. Or a row of the results that learns in episodes
    #[arg(value_name = "NODE|ROW")]
    node: String,
    /// The file; one that is there is replaced
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// What to import.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// A file that `mlsm export` wrote
    file: PathBuf,
}

/// What a file holds, as JSON.
#[derive(Serialize)]
struct ModelLine<'a> {
    file: String,
    node: &'a str,
    config: &'a str,
    outputs: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    was_there: Option<bool>,
}

/// Writes what a node has learnt to a file; computes nothing.
///
/// # Errors
/// [`CliError`] when the node learns nothing or has not been computed.
pub fn export(args: &ExportArgs, settings: &Settings) -> Result<(), CliError> {
    let workspace = Workspace::to_plan(settings, &View::new(settings))?;
    let Workspace { config, store, assembly } = &workspace;
    let node = node_of(&assembly.graph, &args.node);
    let plan = mlsm_engine::plan(&assembly.graph, store, &config.name, std::slice::from_ref(&node))?;
    let planned = plan.nodes.iter().find(|planned| planned.node == node);
    let Some([unit]) = planned.map(|planned| planned.units.as_slice()) else {
        return Err(ModelFileError::NoModel { node }.into());
    };
    let computed = unit.fingerprint.filter(|_| unit.action == Action::Reuse);
    let manifest = computed.map(|fingerprint| store.lookup(&fingerprint)).transpose()?.flatten();
    let manifest = manifest.ok_or_else(|| ModelFileError::NotComputed { node: node.clone() })?;
    let file = ModelFile::export(&node, &manifest, (&config.name, &config.config), store)?;
    file.write(&args.out)?;
    tell(&args.out, &file, None, settings)
}

/// Returns the node of a row; a name that is none stays as it is.
fn node_of(graph: &Graph, name: &str) -> String {
    let of_row = format!("{LEARNS}{name}");
    if graph.nodes().iter().any(|node| node.id == of_row) { of_row } else { name.to_owned() }
}

/// Puts what a file holds into the store, where a run of the same configuration over the same photos finds it.
///
/// # Errors
/// [`CliError`] when the file is none or damaged, or the store cannot be written.
pub fn import(args: &ImportArgs, settings: &Settings) -> Result<(), CliError> {
    let file = ModelFile::read(&args.file)?;
    let store = settings.open_store(Access::ReadWrite)?;
    let was_there = file.clone().import(&store)?;
    tell(&args.file, &file, Some(was_there), settings)
}

fn tell(path: &Path, file: &ModelFile, was_there: Option<bool>, settings: &Settings) -> Result<(), CliError> {
    if settings.is_json() {
        let outputs = file.digests().into_iter().map(|(name, digest)| (name, digest.to_string())).collect();
        let (path, node, config) = (path.display().to_string(), file.node(), file.preset());
        return stdout::print_json(&ModelLine { file: path, node, config, outputs, was_there });
    }
    let (path, node, preset) = (path.display(), file.node(), file.preset());
    let outputs = file.digests().keys().copied().collect::<Vec<_>>().join(", ");
    stdout::tell(&match was_there {
        None => format!("{path}: {node} of {preset} ({outputs})\n"),
        Some(false) => {
            format!("{node} of {preset} ({outputs}) is in the store: a run that asks the same learns it no more\n")
        }
        Some(true) => format!("the store has {node} of {preset} already: nothing is changed\n"),
    })
}
