//! What most verbs begin with: the configuration, the store and the graph of stages over it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mlsm_engine::{Cancel, Subscriber};
use mlsm_pipelines::{Assembly, Execution, Preparation, Purpose, Scene, assemble, prepare};
use mlsm_remote::PhotoBucket;
use mlsm_store::{Access, Objects, Store, StoreError};

use crate::error::CliError;
use crate::settings::{NamedConfig, Settings, Waiting, credentials};
use crate::signals;

/// Opens photos in a bucket, by the credentials of the environment.
///
/// # Errors
/// [`StoreError::Remote`] for an address that is none.
pub fn objects(address: &str) -> Result<Arc<dyn Objects>, StoreError> {
    Ok(Arc::new(PhotoBucket::open(address, credentials(), signals::asked())?))
}

/// A configuration laid over a store.
pub struct Workspace {
    /// The configuration.
    pub config: NamedConfig,
    /// The store.
    pub store: Store,
    /// The graph, and what to warn of.
    pub assembly: Assembly,
}

/// What a plan for other machines is drawn of.
pub struct Handout {
    /// The configuration, the store and the graph.
    pub workspace: Workspace,
    /// What was found of photos, split and weights.
    pub scene: Scene,
    /// How long it took to assemble the graph.
    pub took: Duration,
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
        let config = settings.load_config()?;
        let store = settings.open_store_with(Access::ReadWrite, waiting)?;
        let purpose = Purpose::Run;
        let scene =
            prepare(&config.config, &Preparation { store: &store, purpose, cancel, subscriber, objects: &objects })?;
        let assembly = assemble(&config.config, &scene, &Execution { device: settings.device })?;
        Ok(Self { config, store, assembly })
    }

    /// Opens everything for a plan that other machines work by: what is found of the photos is kept in the store. Returns how
    /// long it took to assemble the graph, which is what each of them has to do.
    ///
    /// # Errors
    /// [`CliError`] of the configuration, the store, or the data set.
    pub fn to_hand_out(
        settings: &Settings,
        purpose: Purpose,
        cancel: &Cancel,
        subscriber: &dyn Subscriber,
    ) -> Result<Handout, CliError> {
        let config = settings.load_config()?;
        let store = settings.open_store(Access::ReadWrite)?;
        let scene =
            prepare(&config.config, &Preparation { store: &store, purpose, cancel, subscriber, objects: &objects })?;
        #[expect(clippy::disallowed_methods, reason = "how long it takes to begin")]
        let begun = Instant::now();
        let assembly = assemble(&config.config, &scene, &Execution { device: settings.device })?;
        Ok(Handout { workspace: Self { config, store, assembly }, scene, took: begun.elapsed() })
    }

    /// Opens everything to look at it: a store that does not exist counts as empty and is not made, and none is written.
    ///
    /// # Errors
    /// [`CliError`] of the configuration, the store, or the data set.
    pub fn to_plan(settings: &Settings, subscriber: &dyn Subscriber) -> Result<Self, CliError> {
        let config = settings.load_config()?;
        let store = settings.look_at_store()?;
        let (purpose, cancel) = (Purpose::Plan, &Cancel::default());
        let scene =
            prepare(&config.config, &Preparation { store: &store, purpose, cancel, subscriber, objects: &objects })?;
        let assembly = assemble(&config.config, &scene, &Execution { device: settings.device })?;
        Ok(Self { config, store, assembly })
    }
}
