//! What most verbs begin with: the configuration, the store and the graph of stages over it.

use mlsm_engine::Subscriber;
use mlsm_pipelines::{Assembly, Execution, Purpose, assemble};
use mlsm_store::{Access, Store};

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
}

impl Workspace {
    /// Opens everything for a run; the store is made when it does not exist.
    ///
    /// # Errors
    /// [`CliError`] of the configuration, the store, or the data set.
    pub fn to_run(settings: &Settings, no_wait: bool, subscriber: &dyn Subscriber) -> Result<Self, CliError> {
        let config = settings.load_config()?;
        let store = settings.open_store_with(Access::ReadWrite, no_wait)?;
        let execution = Execution { device: settings.device };
        let assembly = assemble(&config.config, &store, &execution, Purpose::Run, subscriber)?;
        Ok(Self { config, store, assembly })
    }

    /// Opens everything to look at it: a store that does not exist counts as empty and is not made, and none is written.
    ///
    /// # Errors
    /// [`CliError`] of the configuration, the store, or the data set.
    pub fn to_plan(settings: &Settings, subscriber: &dyn Subscriber) -> Result<Self, CliError> {
        let config = settings.load_config()?;
        let store = settings.look_at_store()?;
        let execution = Execution { device: settings.device };
        let assembly = assemble(&config.config, &store, &execution, Purpose::Plan, subscriber)?;
        Ok(Self { config, store, assembly })
    }
}
