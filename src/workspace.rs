//! What most verbs begin with: the configuration, the store and the graph of stages over it.

use mlsm_engine::{Cancel, Subscriber};
use mlsm_pipelines::{Assembly, Execution, Preparation, Purpose, assemble, prepare};
use mlsm_store::{Access, Store};

use crate::error::CliError;
use crate::settings::{NamedConfig, Settings, Waiting};

/// A configuration laid over a store.
pub struct Workspace {
    /// The configuration.
    pub config: NamedConfig,
    /// The store.
    pub store: Store,
    /// The graph, and what to warn of.
    pub assembly: Assembly,
}

impl Workspace {
    /// Opens everything for a run; the store is made when it does not exist.
    ///
    /// # Errors
    /// [`CliError`] of the configuration, the store, or the data set.
    pub fn to_run(
        settings: &Settings,
        waiting: Waiting,
        cancel: &Cancel,
        subscriber: &dyn Subscriber,
    ) -> Result<Self, CliError> {
        Self::to_run_with(settings.load_config()?, settings, waiting, cancel, subscriber)
    }

    /// Opens everything for a run of a configuration that is not the one that the settings name.
    ///
    /// # Errors
    /// [`CliError`] of the store or the data set.
    pub fn to_run_with(
        config: NamedConfig,
        settings: &Settings,
        waiting: Waiting,
        cancel: &Cancel,
        subscriber: &dyn Subscriber,
    ) -> Result<Self, CliError> {
        let store = settings.open_store_with(Access::ReadWrite, waiting)?;
        let purpose = Purpose::Run;
        let scene = prepare(&config.config, &Preparation { store: &store, purpose, cancel, subscriber })?;
        let assembly = assemble(&config.config, &scene, &Execution { device: settings.device })?;
        Ok(Self { config, store, assembly })
    }

    /// Opens everything to look at it: a store that does not exist counts as empty and is not made, and none is written.
    ///
    /// # Errors
    /// [`CliError`] of the configuration, the store, or the data set.
    pub fn to_plan(settings: &Settings, subscriber: &dyn Subscriber) -> Result<Self, CliError> {
        let config = settings.load_config()?;
        let store = settings.look_at_store()?;
        let (purpose, cancel) = (Purpose::Plan, &Cancel::default());
        let scene = prepare(&config.config, &Preparation { store: &store, purpose, cancel, subscriber })?;
        let assembly = assemble(&config.config, &scene, &Execution { device: settings.device })?;
        Ok(Self { config, store, assembly })
    }
}
