//! Errors of libraries below as errors of a stage.

use mlsm_engine::StageError;

/// Turns an error of torch into its first sentence.
pub(crate) fn torch_error(error: tch::TchError) -> StageError {
    let text = error.to_string();
    StageError::Failed(text.lines().next().unwrap_or("torch failed").to_owned())
}

/// Turns an error of the networks into one of a stage.
pub(crate) fn net_error(error: mlsm_nets::NetError) -> StageError {
    StageError::Failed(error.to_string())
}
