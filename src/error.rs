//! What ends a command: every expected failure with its exit code and its text for people.

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
pub mod words;

use mlsm_data::DataError;
use mlsm_engine::{EngineError, StageError};
use mlsm_errors::{Explain, Explanation, Fix};
use mlsm_pipelines::model_file::ModelFileError;
use mlsm_pipelines::support::SupportError;
use mlsm_pipelines::{AssembleError, ConfigError};
use mlsm_store::StoreError;
use thiserror::Error;

use self::words::Words;
use crate::signals;

/// A check answered no.
pub const CHECK_FAILED: u8 = 1;
/// A flag, a key or the set-up does not fit.
pub const USAGE: u8 = 2;
/// A stage failed, a full disk included.
pub const STAGE_FAILED: u8 = 3;
/// The store cannot be used.
pub const STORE_UNUSABLE: u8 = 4;
/// Another run holds the store and waiting was not wanted.
pub const STORE_BUSY: u8 = 5;
/// The photos or tables given are bad.
pub const BAD_DATA: u8 = 6;
/// Stopped by a signal; the next run resumes.
pub const CANCELLED: u8 = 130;

/// The innermost reason of an error of the network, which is what people can act on.
pub fn cause(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// Why a command did not end well.
#[derive(Debug, Error)]
pub enum CliError {
    /// A check answered no, and its findings are printed already.
    #[error("the check found something")]
    CheckFailed,
    /// The command line, the environment or a tool on this machine does not fit.
    #[error("{0}")]
    Usage(Explanation),
    /// A photo or a table is bad, found by a verb that only looks.
    #[error("{0}")]
    BadData(Explanation),
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The graph of stages could not be built, or its results not published.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// A plan or a run could not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data set refused.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Nodes failed: each with its first error.
    #[error("nodes failed")]
    Nodes(Vec<(String, StageError)>),
    /// Runs are going on, and waiting was not wanted.
    #[error("the store is busy")]
    Busy,
    /// A signal stopped the run.
    #[error("cancelled")]
    Cancelled,
    /// The time that the work was given is over.
    #[error("stopped")]
    TimeOver,
    /// The program has a defect; the panic's own message is printed already.
    #[error("the program stopped in a way that nobody foresaw")]
    Panicked,
    /// The answer could not be written.
    #[error("cannot write to standard output")]
    Stdout(#[source] std::io::Error),
}

impl From<SupportError> for CliError {
    fn from(error: SupportError) -> Self {
        Self::Assemble(error.into())
    }
}

impl From<ModelFileError> for CliError {
    fn from(error: ModelFileError) -> Self {
        Self::Assemble(error.into())
    }
}

impl CliError {
    /// Describes a mistake that the user can mend.
    pub fn usage(what: impl Into<String>, why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Usage(Explanation::new(what).because(why).fix(fix.into()))
    }

    /// Says of work that was stopped what stopped it: a signal, or the end of its time.
    pub fn with_cause(self) -> Self {
        if self.exit_code() == CANCELLED && signals::is_time_over() { Self::TimeOver } else { self }
    }

    /// Returns the exit code of the process.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::CheckFailed => CHECK_FAILED,
            Self::Usage(_) | Self::Config(_) => USAGE,
            Self::BadData(_) => BAD_DATA,
            Self::Assemble(AssembleError::Config(_)) => USAGE,
            Self::Assemble(AssembleError::Data(_)) => BAD_DATA,
            Self::Assemble(AssembleError::Graph(_)) => STAGE_FAILED,
            Self::Assemble(AssembleError::Cancelled) => CANCELLED,
            Self::Assemble(AssembleError::Store(error)) | Self::Store(error) => of_store(error),
            Self::Engine(error) => of_engine(error),
            Self::Data(error) if error.without_room().is_some() => STAGE_FAILED,
            Self::Data(error) if error.is_config() => USAGE,
            Self::Data(_) => BAD_DATA,
            Self::Nodes(nodes) => nodes.first().map_or(STAGE_FAILED, |(_, error)| of_stage(error)),
            Self::Busy => STORE_BUSY,
            Self::Cancelled | Self::TimeOver => CANCELLED,
            Self::Stdout(_) | Self::Panicked => STAGE_FAILED,
        }
    }

    /// Returns the text for people: what, why and how to fix; empty when everything is said already.
    pub fn render(&self) -> String {
        self.words().iter().map(Words::paragraph).collect()
    }

    /// Returns the same as data: of several failures the first one.
    pub fn to_json(&self) -> serde_json::Value {
        let first = self.words().into_iter().next();
        serde_json::json!(first.unwrap_or_else(|| Explanation::of(self).into()))
    }

    /// Returns what failed, once for each node; nothing when everything is said already.
    fn words(&self) -> Vec<Words> {
        match self {
            Self::CheckFailed => Vec::new(),
            Self::Nodes(nodes) => nodes.iter().map(|(node, error)| of_node(node, error)).collect(),
            _ => {
                let words = Words::from(self.explain());
                let is_full = self.of_store().is_some_and(StoreError::is_full);
                vec![if is_full { words.keeping() } else { words }]
            }
        }
    }

    fn of_store(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error)
            | Self::Assemble(AssembleError::Store(error))
            | Self::Engine(EngineError::Store(error)) => Some(error),
            _ => None,
        }
    }
}

impl Explain for CliError {
    fn explain(&self) -> Explanation {
        let said = Explanation::of(self);
        let again = "give the same command again, it goes on where this one stopped";
        match self {
            Self::Usage(said) | Self::BadData(said) => said.clone(),
            Self::Config(error) => error.explain(),
            Self::Assemble(error) => error.explain(),
            Self::Engine(error) => error.explain(),
            Self::Store(error) => error.explain(),
            Self::Data(error) => error.explain(),
            Self::Busy => said.because("runs are writing it").fix("try again later").fix(Fix::Wait),
            Self::Cancelled => said.because("a signal asked to stop").fix(again),
            Self::TimeOver => said.because("the time given with --max-time is over").fix(again),
            Self::Panicked => said.because("the message above says where").fix(
                "report it with that message; finished artifacts are kept, and the same command goes on from them",
            ),
            Self::Stdout(_) => said.fix("free the disk behind the redirection").fix("use `--out FILE`"),
            Self::CheckFailed | Self::Nodes(_) => said,
        }
    }
}

/// Says why a node failed. What other nodes have finished is kept, whatever it was.
fn of_node(node: &str, error: &StageError) -> Words {
    let mut said = error.explain().within(node);
    if said.fixes.is_empty() {
        said = said.fix("mend the cause, then run again");
    }
    Words::from(said).keeping()
}

fn of_store(error: &StoreError) -> u8 {
    match error {
        StoreError::Stopped => CANCELLED,
        StoreError::Busy { .. } => STORE_BUSY,
        error if error.is_full() => STAGE_FAILED,
        _ => STORE_UNUSABLE,
    }
}

fn of_engine(error: &EngineError) -> u8 {
    match error {
        EngineError::Store(error) => of_store(error),
        EngineError::UnknownNode { .. } | EngineError::Threads { .. } => USAGE,
        EngineError::Pending { .. } | EngineError::MissingOutput { .. } => STAGE_FAILED,
    }
}

fn of_stage(error: &StageError) -> u8 {
    match error {
        StageError::Cancelled => CANCELLED,
        StageError::BadData(_) => BAD_DATA,
        StageError::Setup(_) => USAGE,
        StageError::Busy(_) => STORE_BUSY,
        StageError::Store(error) => of_store(error),
        StageError::Failed(_) => STAGE_FAILED,
    }
}
