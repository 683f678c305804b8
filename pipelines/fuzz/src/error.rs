//! The errors that the compiled-in readers name, as far as they name them.

use mlsm_engine::StageError;

/// Stands for `mlsm_nets::NetError`.
#[derive(Debug)]
pub enum NetError {
    /// The file is not read.
    BadPth {
        /// Why.
        why: String,
    },
    /// The file names something to call.
    UnsafePth {
        /// What.
        global: String,
    },
}

/// An artifact that is not what its reader expects.
pub fn misfit(what: impl Into<String>, why: impl Into<String>) -> StageError {
    StageError::defect(format!("{}: {}", what.into(), why.into()))
}
