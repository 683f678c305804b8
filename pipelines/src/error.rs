//! Errors of libraries below as errors of a stage.

use mlsm_engine::StageError;
use mlsm_errors::{Explain, Explanation};
use mlsm_nets::NetError;

/// Turns an error of torch into one of a stage.
pub(crate) fn torch_error(error: tch::TchError) -> StageError {
    net_error(NetError::from(error))
}

/// Turns an error of the networks into one of a stage.
pub(crate) fn net_error(error: NetError) -> StageError {
    StageError::Failed(error.explain())
}

/// Reports an artifact that is whole and does not hold what is read from it.
pub(crate) fn misfit(what: impl Into<String>, why: impl Into<String>) -> StageError {
    StageError::Failed(
        Explanation::new(what).because(why).fix("use the version of the program that wrote it, or another store"),
    )
}
