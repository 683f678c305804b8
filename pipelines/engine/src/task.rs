//! The contract of a task: what it reads and makes, what identifies its result, and how the result is made.

use std::collections::BTreeMap;

use mlsm_store::{Field, Output};

use crate::{Context, StageError};

/// The work of a unit, with its recipe. A stage of the pipeline has one kind of task or several: `ingest` describes photos
/// and packs their pixels. One value serves all shards of a node, so what is costly to set up can be kept inside.
///
/// A task reads nothing but its recipe and the inputs that the [`Context`] hands it: no clock, no environment, no
/// memory of the process that planned it. What does not change results (device, thread count) goes into
/// [`Outputs::provenance`], never into [`Task::recipe`].
pub trait Task: Send + Sync {
    /// Returns the name of its stage as on the command line, such as `train-base`.
    fn stage(&self) -> &'static str;

    /// Returns the version of the code; raised whenever equal inputs would give other bytes.
    fn version(&self) -> u32;

    /// Returns everything in the configuration that changes the result, in a fixed order.
    fn recipe(&self) -> Vec<Field>;

    /// Returns what it reads. A graph refuses a unit with any other input.
    fn inputs(&self) -> Vec<Port>;

    /// Returns the names of all artifacts that it may make. A graph refuses a unit that reads any other.
    fn outputs(&self) -> &'static [&'static str];

    /// Does the work and stores its artifacts.
    ///
    /// # Errors
    /// A [`StageError`], by what the caller can do about it. Artifacts stored before are garbage, never half a result.
    fn run(&self, context: &Context<'_>) -> Result<Outputs, StageError>;

    /// Returns how many threads one unit keeps busy: one, unless it computes with torch's. Units are computed side by side
    /// while the run's threads suffice.
    fn threads(&self) -> usize {
        1
    }

    /// Tells whether it computes with torch: on a card, where there is one.
    fn wants_device(&self) -> bool {
        false
    }
}

/// A named input of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port {
    /// The name.
    pub name: &'static str,
    /// How many artifacts it takes.
    pub count: Count,
}

/// How many artifacts a port takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// One.
    One,
    /// Any number of them, each an item with an id of its own.
    Many,
}

impl Port {
    /// A port that takes one artifact.
    pub const fn one(name: &'static str) -> Self {
        Self { name, count: Count::One }
    }

    /// A port that takes any number of artifacts.
    pub const fn many(name: &'static str) -> Self {
        Self { name, count: Count::Many }
    }
}

/// What a task made: named artifacts, and how they came about.
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

    /// Refuses an artifact that the task does not declare.
    pub(crate) fn check(self, task: &dyn Task) -> Result<Self, StageError> {
        match self.artifacts.keys().find(|name| !task.outputs().contains(&name.as_str())) {
            Some(name) => Err(StageError::defect(format!("{} does not declare its output `{name}`", task.stage()))),
            None => Ok(self),
        }
    }
}
