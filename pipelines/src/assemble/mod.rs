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
use mlsm_engine::GraphError;
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
    /// A unit does not fit the others: a defect of the program.
    #[error(
        "the graph of this configuration does not fit together\n  why: {0}\n  fix: report it with the configuration"
    )]
    Graph(#[from] GraphError),
    /// Stopping was asked for while photos were drawn, unpacked or hashed.
    #[error("cancelled")]
    Cancelled,
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
