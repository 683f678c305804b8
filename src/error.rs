//! What ends a command: every expected failure with its exit code and its text for people.

use std::error::Error;
use std::fmt::Write as _;

use mlsm_data::DataError;
use mlsm_engine::{EngineError, StageError};
use mlsm_pipelines::{AssembleError, ConfigError};
use mlsm_store::StoreError;
use thiserror::Error;

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

/// Why a command did not end well.
#[derive(Debug, Error)]
pub enum CliError {
    /// A check answered no, and its findings are printed already.
    #[error("the check found something")]
    CheckFailed,
    /// The command line, the environment or a tool on this machine does not fit.
    #[error("{what}\n  why: {why}\n  fix: {fix}")]
    Usage {
        /// What was refused.
        what: String,
        /// The reason.
        why: String,
        /// What to do.
        fix: String,
    },
    /// A photo or a table is bad, found by a verb that only looks.
    #[error("{0}")]
    BadData(String),
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
    #[error("{} failed", list_nodes(.0))]
    Nodes(Vec<(String, StageError)>),
    /// Runs are going on, and waiting was not wanted.
    #[error("the store is busy\n  why: runs are writing it\n  fix: try again later, or leave --no-wait out")]
    Busy,
    /// A signal stopped the run.
    #[error("cancelled\n  why: a signal asked to stop\n  fix: the same command goes on where this run stopped")]
    Cancelled,
    /// The time that the work was given is over.
    #[error(
        "stopped\n  why: the time given with --max-time is over\n  fix: the same command goes on where this run stopped"
    )]
    TimeOver,
    /// The program has a defect; the panic's own message is printed already.
    #[error(
        "the program stopped in a way that nobody foresaw\n  why: the message above says where\n  fix: report it with \
         that message; finished artifacts are kept, and the same command goes on from them"
    )]
    Panicked,
    /// The answer could not be written.
    #[error("cannot write to standard output")]
    Stdout(#[source] std::io::Error),
}

impl CliError {
    /// Describes a mistake that the user can mend.
    pub fn usage(what: impl Into<String>, why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Usage { what: what.into(), why: why.into(), fix: fix.into() }
    }

    /// Says of work that was stopped what stopped it: a signal, or the end of its time.
    pub fn with_cause(self) -> Self {
        if self.exit_code() == CANCELLED && signals::is_time_over() { Self::TimeOver } else { self }
    }

    /// Returns the exit code of the process.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::CheckFailed => CHECK_FAILED,
            Self::Usage { .. } | Self::Config(_) => USAGE,
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
        match self {
            Self::CheckFailed => String::new(),
            Self::Nodes(nodes) => nodes.iter().fold(String::new(), |mut text, (node, error)| {
                text.push_str(&paragraph(&format!("{node}: {error}"), error.source(), stage_hint(error)));
                text
            }),
            _ => paragraph(&self.to_string(), self.source(), self.hint()),
        }
    }

    /// Returns the same as data: of several failures the first one.
    pub fn to_json(&self) -> serde_json::Value {
        let text = self.render();
        let mut what = String::new();
        let (mut why, mut fix) = (Vec::new(), Vec::new());
        for line in text.lines() {
            match (line.strip_prefix("  why: "), line.strip_prefix("  fix: ")) {
                (Some(line), _) => why.push(line),
                (_, Some(line)) => fix.push(line),
                _ if what.is_empty() => what = line.trim_start_matches("error: ").to_owned(),
                _ => why.push(line.trim()),
            }
        }
        if what.is_empty() {
            what = self.to_string();
        }
        serde_json::json!({ "what": what, "why": why.join("\n"), "fix": fix.join("\n") })
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Store(error) | Self::Assemble(AssembleError::Store(error)) => store_hint(error),
            Self::Engine(EngineError::Store(error)) => store_hint(error),
            Self::Engine(EngineError::UnknownNode { .. }) => Some("`mlsm plan` lists the nodes of this configuration"),
            Self::Engine(EngineError::Threads { .. }) => Some("give a smaller `--threads`"),
            Self::Engine(EngineError::Pending { .. } | EngineError::MissingOutput { .. }) => Some(REPORT),
            Self::Stdout(_) => Some("free the disk behind the redirection, or use `--out FILE`"),
            _ => None,
        }
    }
}

const REPORT: &str = "run again with `--force STAGE` for the stage before it; finished artifacts are kept";

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

fn store_hint(error: &StoreError) -> Option<&'static str> {
    error.is_full().then_some("free some space and run again; finished artifacts are kept")
}

fn stage_hint(error: &StageError) -> Option<&'static str> {
    match error {
        StageError::Busy(_) => Some("wait for it, or run without `--no-wait`; finished artifacts are kept"),
        StageError::Store(error) => store_hint(error),
        StageError::BadData(_) | StageError::Failed(_) | StageError::Setup(_) | StageError::Cancelled => {
            Some("finished artifacts are kept; mend the cause and run again")
        }
    }
}

fn list_nodes(nodes: &[(String, StageError)]) -> String {
    nodes.iter().map(|(node, _)| node.as_str()).collect::<Vec<_>>().join(", ")
}

/// Lays out a message; its sources become the why and the hint the fix, unless the message has its own.
fn paragraph(message: &str, source: Option<&dyn Error>, hint: Option<&str>) -> String {
    let mut text = format!("error: {}\n", message.trim_end());
    let mut next = source;
    while let Some(error) = next {
        let cause = error.to_string();
        if !text.contains(&cause) {
            let _ = writeln!(text, "  why: {cause}");
        }
        next = error.source();
    }
    if let Some(hint) = hint.filter(|_| !text.contains("fix: ")) {
        let _ = writeln!(text, "  fix: {hint}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_stage_error_has_its_exit_code() {
        let code = |error| CliError::Nodes(vec![("crop".to_owned(), error)]).exit_code();
        assert_eq!(code(StageError::BadData(String::new())), 6);
        assert_eq!(code(StageError::Setup(String::new())), 2);
        assert_eq!(code(StageError::Busy(String::new())), 5);
        assert_eq!(code(StageError::Failed(String::new())), 3);
        assert_eq!(code(StageError::Cancelled), 130);
    }

    #[test]
    fn a_message_without_a_fix_gets_the_hint_of_its_kind() {
        let error = CliError::Nodes(vec![("crop".to_owned(), StageError::Busy("process 7".to_owned()))]);
        assert_eq!(
            error.render(),
            "error: crop: another run is computing this: process 7\n  \
             fix: wait for it, or run without `--no-wait`; finished artifacts are kept\n"
        );
    }

    #[test]
    fn a_message_with_its_own_fix_keeps_it() {
        let error = CliError::usage("no", "because", "do this");
        assert_eq!(error.render(), "error: no\n  why: because\n  fix: do this\n");
    }

    #[test]
    fn a_failed_check_prints_nothing_more() {
        assert_eq!(CliError::CheckFailed.render(), "");
        assert_eq!(CliError::CheckFailed.exit_code(), 1);
    }
}
