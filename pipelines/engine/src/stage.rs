//! The contract of a stage: what identifies its result, and how the result is made.

use std::collections::BTreeMap;

use mlsm_store::{Field, Output};

use crate::{Context, StageError};

/// Work with its recipe. One value serves all shards of a node, so what is costly to set up can be kept inside.
///
/// A stage reads nothing but its recipe and the inputs that the [`Context`] hands it: no clock, no environment, no
/// memory of the process that planned it. What does not change results (device, thread count) goes into
/// [`Outputs::provenance`], never into [`Stage::recipe`].
pub trait Stage: Send + Sync {
    /// Returns the stage's name as on the command line, such as `train-base`.
    fn name(&self) -> &'static str;

    /// Returns the version of the code; raised whenever equal inputs would give other bytes.
    fn version(&self) -> u32;

    /// Returns everything in the configuration that changes the result, in a fixed order.
    fn recipe(&self) -> Vec<Field>;

    /// Does the work and stores its artifacts.
    ///
    /// # Errors
    /// A [`StageError`], by what the caller can do about it. Artifacts stored before are garbage, never half a result.
    fn run(&self, context: &Context<'_>) -> Result<Outputs, StageError>;

    /// Tells whether shards may run on several threads at once; stages that use torch's own threads say no.
    fn is_parallel(&self) -> bool {
        false
    }
}

/// What a unit produced: named artifacts, and how they came about.
#[derive(Clone, Debug, Default)]
pub struct Outputs {
    /// The artifacts by name.
    pub artifacts: BTreeMap<String, Output>,
    /// Facts that may change a float's last bits but are no part of the request: device, CPU model, threads.
    pub provenance: BTreeMap<String, String>,
}

impl Outputs {
    /// Adds an artifact.
    #[must_use]
    pub fn with(mut self, name: &str, output: Output) -> Self {
        self.artifacts.insert(name.to_owned(), output);
        self
    }

    /// Adds facts of provenance.
    #[must_use]
    pub fn made_by(mut self, facts: &BTreeMap<String, String>) -> Self {
        self.provenance.extend(facts.iter().map(|(k, v)| (k.clone(), v.clone())));
        self
    }
}
