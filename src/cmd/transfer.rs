//! `mlsm push` and `mlsm pull`: bring what another store lacks there, or what this one lacks here.

use std::path::Path;

use clap::Args;
use mlsm_remote::{Bucket, LocalPeer, Moved, Peer, Selection};
use mlsm_store::{Access, Store};
use serde_json::json;

use crate::error::CliError;
use crate::render::{bytes, stdout};
use crate::settings::{Place, Settings, Waiting, credentials};
use crate::signals;

/// Between which stores, and what.
#[derive(Debug, Args)]
pub struct TransferArgs {
    /// The other store: a folder, or s3://bucket/prefix, gs://…, az://…
    #[arg(value_name = "STORE")]
    other: String,
    /// Only what this run reached; may be repeated (all answers and runs when absent)
    #[arg(long = "run", value_name = "RUN")]
    runs: Vec<String>,
}

impl TransferArgs {
    fn selection(&self) -> Selection {
        match self.runs.is_empty() {
            true => Selection::All,
            false => Selection::Runs(self.runs.iter().cloned().collect()),
        }
    }

    fn peer(&self, access: Access, settings: &Settings) -> Result<Box<dyn Peer>, CliError> {
        Ok(match Place::of(&self.other) {
            Place::Shared(url) => Box::new(Bucket::open(&url, credentials(), access, signals::asked())?),
            Place::Folder(path) => {
                Box::new(LocalPeer(Store::open_with(Path::new(&path), access, &settings.patience(Waiting::Allowed))?))
            }
        })
    }

    fn check(&self, known: &[String]) -> Result<(), CliError> {
        let Some(unknown) = self.runs.iter().find(|run| !known.contains(run)) else { return Ok(()) };
        let why = "the store it was to come from has no such run";
        Err(CliError::usage(format!("no run {unknown}"), why, "`mlsm runs` lists them"))
    }
}

/// Brings answers and runs of this store to another one.
///
/// # Errors
/// [`CliError::Store`] when either cannot be used; what was brought before stays.
pub fn push(args: &TransferArgs, settings: &Settings) -> Result<(), CliError> {
    let store = settings.open_store(Access::ReadOnly)?;
    let known: Vec<_> = store.runs().list()?.into_iter().map(|run| run.run_id).collect();
    args.check(&known)?;
    let peer = args.peer(Access::ReadWrite, settings)?;
    let moved = shown(settings, "sent", |progress| {
        mlsm_remote::push(&store, peer.as_ref(), &args.selection(), progress).map_err(CliError::from)
    })?;
    tell(&moved, settings, "sent")
}

/// Brings answers and runs of another store into this one.
///
/// # Errors
/// As [`push`].
pub fn pull(args: &TransferArgs, settings: &Settings) -> Result<(), CliError> {
    let peer = args.peer(Access::ReadOnly, settings)?;
    args.check(&peer.runs()?.into_iter().collect::<Vec<_>>())?;
    let store = settings.open_store(Access::ReadWrite)?;
    let moved = shown(settings, "brought", |progress| {
        mlsm_remote::pull(&store, peer.as_ref(), &args.selection(), progress).map_err(CliError::from)
    })?;
    tell(&moved, settings, "brought")
}

/// Shows a count while `work` goes on.
fn shown(
    settings: &Settings,
    verb: &'static str,
    work: impl FnOnce(&(dyn Fn(usize, usize) + Sync)) -> Result<Moved, CliError>,
) -> Result<Moved, CliError> {
    let bar = bytes::Bar::of(settings, verb, "answers");
    let moved = work(&|done, total| bar.set_of(done as u64, total as u64));
    bar.finish();
    moved
}

fn tell(moved: &Moved, settings: &Settings, verb: &str) -> Result<(), CliError> {
    let Moved { manifests, bytes, kept, differing, broken, runs } = *moved;
    if settings.is_json() {
        return stdout::print_json(
            &json!({ "manifests": manifests, "bytes": bytes, "kept": kept, "differing": differing, "broken": broken, "runs": runs }),
        );
    }
    let other = match differing {
        0 => String::new(),
        n => format!(", {n} of which another realisation is there, which stays"),
    };
    let lost = match broken {
        0 => String::new(),
        n => {
            format!("\n{n} answers could not be brought: they are no longer whole there, and a run computes them again")
        }
    };
    stdout::tell(&format!(
        "{manifests} answers and {runs} runs were {verb}, {bytes} bytes; {kept} answers were there already{other}{lost}\n"
    ))
}
