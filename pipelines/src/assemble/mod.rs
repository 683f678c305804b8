//! From a configuration to a graph: which nodes there are, which shards they read, and what is published of them.
//!
//! Inputs of a node are shards chosen by part. What trains or selects asks for a [`TrainPart`], which has no novel
//! classes; only `evaluate` asks for those.

mod builder;
mod learning;
mod paper;
mod photos;
mod plan_graph;

use mlsm_data::DataError;
use mlsm_engine::{GraphError, StageError};
use mlsm_errors::{Explain, Explanation};
use mlsm_nets::DeviceChoice;
use mlsm_store::StoreError;
use thiserror::Error;

pub(crate) use plan_graph::NodeKind;
pub use plan_graph::{Assembly, assemble};

/// What does not change results: where to compute.
#[derive(Clone, Copy, Debug)]
pub struct Execution {
    /// The device.
    pub device: DeviceChoice,
}

/// Why a graph cannot be assembled or its results not be published, by what the caller can do.
#[derive(Debug, Error)]
pub enum AssembleError {
    /// The configuration does not fit: mend it.
    #[error("{0}")]
    Config(Explanation),
    /// The data does not fit: mend it.
    #[error("{0}")]
    Data(Explanation),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A unit does not fit the others: a defect of the program.
    #[error("the graph of this configuration does not fit together")]
    Graph(#[from] GraphError),
    /// Stopping was asked for while photos were drawn, unpacked or hashed.
    #[error("cancelled")]
    Cancelled,
}

impl Explain for AssembleError {
    fn explain(&self) -> Explanation {
        match self {
            Self::Config(said) | Self::Data(said) => said.clone(),
            Self::Store(error) => error.explain(),
            Self::Graph(_) => Explanation::of(self).fix("report it with the configuration"),
            Self::Cancelled => Explanation::of(self)
                .because("a signal asked to stop")
                .fix("give the same command again, it goes on where this one stopped"),
        }
    }
}

impl From<DataError> for AssembleError {
    fn from(error: DataError) -> Self {
        if let Some(path) = error.without_room() {
            return Self::Store(StoreError::Full { path: path.to_owned() });
        }
        if error.is_config() { Self::Config(error.explain()) } else { Self::Data(error.explain()) }
    }
}

/// What reads an artifact fails alike within a stage and where results are published.
impl From<StageError> for AssembleError {
    fn from(error: StageError) -> Self {
        match error {
            StageError::Store(error) => Self::Store(error),
            StageError::Cancelled => Self::Cancelled,
            error => Self::Data(error.explain()),
        }
    }
}
