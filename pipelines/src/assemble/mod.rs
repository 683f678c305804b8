//! From a configuration to a graph: which nodes there are, which shards they read, and what is published of them.
//!
//! Inputs of a node are shards chosen by part. What trains or selects asks for a [`TrainPart`], which has no novel
//! classes; only `evaluate` asks for those.

mod dataset;
mod learning;
mod paper;
mod photos;
mod plan_graph;

use mlsm_data::DataError;
use mlsm_nets::DeviceChoice;
use mlsm_store::StoreError;
use thiserror::Error;

pub(crate) use plan_graph::NodeKind;
pub use plan_graph::{Assembly, assemble, assemble_prediction};

/// What does not change results: where to compute.
#[derive(Clone, Copy, Debug)]
pub struct Execution {
    /// The device.
    pub device: DeviceChoice,
}

/// What a graph is assembled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To look at: photos that do not exist yet are shown as work to do, nothing is drawn.
    Plan,
    /// To run: a synthetic data set is drawn, and photos must be there.
    Run,
}

/// Why a graph cannot be assembled, by what the caller can do.
#[derive(Debug, Error)]
pub enum AssembleError {
    /// The configuration does not fit: mend it.
    #[error("{0}")]
    Config(String),
    /// The data does not fit: mend it.
    #[error("{0}")]
    Data(String),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DataError> for AssembleError {
    fn from(error: DataError) -> Self {
        if let Some(path) = error.without_room() {
            return Self::Store(StoreError::Full { path: path.to_owned() });
        }
        let mut text = error.to_string();
        if let Some(source) = std::error::Error::source(&error) {
            text = format!("{text}\n  why: {source}");
        }
        if error.is_config() { Self::Config(text) } else { Self::Data(text) }
    }
}
