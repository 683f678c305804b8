//! The stages, one file each: the table of contents of the pipeline.
//!
//! | stage | does | file |
//! |---|---|---|
//! | `splits` | says which class is base, val or novel | `splits.rs` |
//! | `ingest` | checks, decodes and resizes photos | `ingest.rs` |
//! | `train-base` | trains base CNNs on base classes | `train_base.rs` |
//! | `crop` | locates objects and cuts them out | `locate.rs`, `crop.rs` |
//! | `extract` | embeds photos and crops | `extract.rs` |
//! | `meta-train` | learns a method in episodes | `meta_train.rs` |
//! | `evaluate` | measures a row on novel classes | `evaluate.rs` |
//! | `predict` | tells photos of one's own apart; of `mlsm predict` alone | `predict.rs` |

pub mod crop;
pub mod evaluate;
pub mod extract;
pub mod ingest;
pub mod locate;
pub mod meta_train;
pub mod predict;
pub mod splits;
pub mod train_base;

use mlsm_engine::StageError;
use mlsm_store::{Field, Value};

/// Names a value of a recipe.
pub(crate) fn field(key: &str, value: impl Into<Value>) -> Field {
    Field { key: key.to_owned(), value: value.into() }
}

/// Turns an error of torch into its first sentence.
pub(crate) fn torch_error(error: tch::TchError) -> StageError {
    let text = error.to_string();
    StageError::Failed(text.lines().next().unwrap_or("torch failed").to_owned())
}

/// Turns an error of the networks into one of a stage.
pub(crate) fn net_error(error: mlsm_nets::NetError) -> StageError {
    StageError::Failed(error.to_string())
}

/// Seconds between two checkpoints of a training: the moment changes nothing in the result.
pub(crate) const CHECKPOINT_EVERY_S: u64 = 5;
