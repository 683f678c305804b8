//! What most verbs begin with: the configuration, the store and the graph of stages over it.

use mlsm_engine::{Cancel, Subscriber};
use mlsm_pipelines::{Assembly, Execution, Preparation, Purpose, assemble, prepare};
use mlsm_store::{Access, Store, StoreError};

use crate::error::CliError;
use crate::settings::{NamedConfig, Settings};

/// A configuration laid over a store.
pub struct Workspace {
    /// The configuration.
    pub config: NamedConfig,
    /// The store.
    pub store: Store,
    /// The graph, and what to warn of.
    pub assembly: Assembly,
    /// Holds the empty store that a plan without a store looks at.
    _empty: Option<tempfile::TempDir>,
}

impl Workspace {
    /// Opens everything for a run; the store is made when it does not exist.
    ///
    /// # Errors
    /// [`CliError`] of the configuration, the store, or the data set.
    pub fn to_run(settings: &Settings, cancel: &Cancel, subscriber: &dyn Subscriber) -> Result<Self, CliError> {
        let config = settings.load_config()?;
        let store = settings.open_store(Access::ReadWrite)?;
        let purpose = Purpose::Run;
        let scene = prepare(&config.config, &Preparation { store: &store, purpose, cancel, subscriber })?;
        let assembly = assemble(&config.config, &scene, &Execution { device: settings.device })?;
        Ok(Self { config, store, assembly, _empty: None })
    }

    /// Opens everything to look at it: a store that does not exist counts as empty and is not made.
    ///
    /// # Errors
    /// [`CliError`] of the configuration, the store, or the data set.
    pub fn to_plan(settings: &Settings, subscriber: &dyn Subscriber) -> Result<Self, CliError> {
        let config = settings.load_config()?;
        let (store, empty) = existing_or_empty(settings)?;
        let (purpose, cancel) = (Purpose::Plan, &Cancel::default());
        let scene = prepare(&config.config, &Preparation { store: &store, purpose, cancel, subscriber })?;
        let assembly = assemble(&config.config, &scene, &Execution { device: settings.device })?;
        Ok(Self { config, store, assembly, _empty: empty })
    }
}

fn existing_or_empty(settings: &Settings) -> Result<(Store, Option<tempfile::TempDir>), CliError> {
    if settings.is_shared() {
        return Ok((settings.open_store(Access::ReadOnly)?, None));
    }
    if settings.store.exists() {
        let store = match settings.open_store(Access::ReadWrite) {
            Err(CliError::Store(StoreError::Unwritable { .. })) => settings.open_store(Access::ReadOnly)?,
            other => other?,
        };
        return Ok((store, None));
    }
    let folder = tempfile::tempdir().map_err(|source| {
        CliError::usage("cannot make a temporary folder", source.to_string(), "set TMPDIR to a folder you can write to")
    })?;
    Ok((Store::open(folder.path(), Access::ReadWrite)?, Some(folder)))
}
