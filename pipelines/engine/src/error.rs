//! What can go wrong in a stage and in a run, by what the caller can do.

use mlsm_store::{Fingerprint, StoreError};
use thiserror::Error;

/// The reason why a unit of work did not finish.
#[derive(Debug, Error)]
pub enum StageError {
    /// Stopping was asked for; checkpoints are kept.
    #[error("cancelled")]
    Cancelled,
    /// The photos or tables given are bad; the message says which and how to mend them.
    #[error("{0}")]
    BadData(String),
    /// The configuration, the device or the weights do not fit.
    #[error("{0}")]
    Setup(String),
    /// Another run holds the unit and waiting was not wanted.
    #[error("another run is computing this: {0}")]
    Busy(String),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The work itself failed.
    #[error("{0}")]
    Failed(String),
}

/// Why a graph cannot be planned or run.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A node was named that the graph does not have.
    #[error("there is no node or stage `{name}`\n  why: there are: {}", known.join(", "))]
    UnknownNode {
        /// The name as given.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// The thread pool could not be made.
    #[error("cannot start {threads} worker threads\n  why: {source}")]
    Threads {
        /// The count asked for.
        threads: usize,
        /// The reason.
        source: rayon::ThreadPoolBuildError,
    },
    /// A unit was to run though its inputs do not exist yet.
    #[error("{unit} cannot run\n  why: an input of it does not exist yet")]
    Pending {
        /// The unit.
        unit: String,
    },
    /// A unit asks for an output that its upstream unit does not make.
    #[error("unit {unit} cannot run\n  why: it wants output `{output}`, which {fingerprint} does not have")]
    MissingOutput {
        /// The unit that asks.
        unit: String,
        /// The output's name.
        output: String,
        /// The upstream manifest.
        fingerprint: Fingerprint,
    },
}
