//! What can go wrong in a stage and in a run, by what the caller can do.

use mlsm_errors::{Explain, Explanation, Fix};
use mlsm_store::{Fingerprint, StoreError};
use thiserror::Error;

/// The reason why a unit of work did not finish.
#[derive(Debug, Error)]
pub enum StageError {
    /// Stopping was asked for; checkpoints are kept.
    #[error("cancelled")]
    Cancelled,
    /// The photos or tables given are bad.
    #[error("{0}")]
    BadData(Explanation),
    /// The configuration, the device or the weights do not fit.
    #[error("{0}")]
    Setup(Explanation),
    /// Another run holds the unit and waiting was not wanted; which one, in words.
    #[error("another run is computing this")]
    Busy(String),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The work itself failed.
    #[error("{0}")]
    Failed(Explanation),
}

impl StageError {
    /// Reports what only a mistake in the program can cause.
    pub fn defect(what: impl Into<String>) -> Self {
        Self::Failed(Explanation::defect(what))
    }

    /// Returns what a node ends with when this error comes after an earlier one: a real failure says more than "cancelled",
    /// and bad data of several shards is reported together.
    pub(crate) fn after(self, earlier: Option<Self>) -> Self {
        match (earlier, self) {
            (None | Some(Self::Cancelled), later) => later,
            (Some(Self::BadData(a)), Self::BadData(b)) => Self::BadData(a.and(b)),
            (Some(earlier), _) => earlier,
        }
    }
}

impl Explain for StageError {
    fn explain(&self) -> Explanation {
        match self {
            Self::BadData(said) | Self::Setup(said) | Self::Failed(said) => said.clone(),
            Self::Cancelled => Explanation::of(self)
                .because("a signal asked to stop")
                .fix("give the same command again, it goes on where this one stopped"),
            Self::Busy(holder) => Explanation::of(self).because(holder).fix(Fix::Wait),
            Self::Store(error) => error.explain(),
        }
    }
}

/// Why a graph cannot be planned or run.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A node was named that the graph does not have.
    #[error("there is no node or stage `{name}`")]
    UnknownNode {
        /// The name as given.
        name: String,
        /// The names that exist.
        known: Vec<String>,
    },
    /// A thread could not be started.
    #[error("cannot start worker thread {threads}")]
    Threads {
        /// Which one: the first is 1.
        threads: usize,
        /// The reason.
        source: std::io::Error,
    },
    /// A unit was to run though its inputs do not exist yet.
    #[error("{unit} cannot run")]
    Pending {
        /// The unit.
        unit: String,
    },
    /// A unit asks for an output that its upstream unit does not make.
    #[error("unit {unit} cannot run")]
    MissingOutput {
        /// The unit that asks.
        unit: String,
        /// The output's name.
        output: String,
        /// The upstream manifest.
        fingerprint: Fingerprint,
    },
}

impl Explain for EngineError {
    fn explain(&self) -> Explanation {
        let said = Explanation::of(self);
        match self {
            Self::Store(error) => error.explain(),
            Self::UnknownNode { known, .. } => {
                said.because(format!("there are: {}", known.join(", "))).fix(Fix::ListNodes)
            }
            Self::Threads { .. } => said.fix(Fix::FewerThreads),
            Self::Pending { .. } => said.because("an input of it does not exist yet").fix(Fix::RedoUpstream),
            Self::MissingOutput { output, fingerprint, .. } => said
                .because(format!("it wants output `{output}`, which {fingerprint} does not have"))
                .fix(Fix::RedoUpstream),
        }
    }
}
