//! One struct per section of the TOML file. Field comments are the reference; defaults stand in `Default`.

mod data;
mod evaluate;
mod image_source;
mod meta_train;
mod objects;
mod train_base;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use data::{BadImage, Data, Splits, Synthetic};
pub use evaluate::{Baseline, Evaluate, Protocol};
pub use meta_train::{BackboneMode, BnEval, MetaTrain, Pairs, Schedule, ShotModels};
pub use objects::{Cam, CamClass, CamRegion, CropFrom, Extract, MapPrecision, ObjectSource};
pub use train_base::{Augmentation, Head, Optimizer, TrainBase};

use super::ConfigError;

/// A value or a list of values: a list makes a grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// A single value.
    One(T),
    /// A list.
    Many(Vec<T>),
}

impl<T: Clone> OneOrMany<T> {
    /// Returns the values.
    pub fn to_vec(&self) -> Vec<T> {
        match self {
            Self::One(value) => vec![value.clone()],
            Self::Many(values) => values.clone(),
        }
    }
}

/// `[numerics]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Numerics {
    /// Torch's threads inside one operation: changes a float's last bits, hence recorded, not fingerprinted.
    pub threads: usize,
}

impl Default for Numerics {
    fn default() -> Self {
        Self { threads: 2 }
    }
}

impl Numerics {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        in_range("numerics.threads", self.threads as f64, 1.0, 1024.0)
    }
}

fn in_range(path: &str, value: f64, low: f64, high: f64) -> Result<(), ConfigError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::invalid(path, &format!("{value} is not between {low} and {high}")))
}
