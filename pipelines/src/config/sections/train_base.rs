//! `[train-base.NAME]`: the base CNNs.

use serde::{Deserialize, Serialize};

use super::in_range;
use crate::config::ConfigError;

/// How photos are varied while a base CNN is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Augmentation {
    /// As they are (the paper).
    None,
    /// Random resized crop, colour jitter, flip (the field's standard).
    Standard,
}

/// What stands between the feature map and the logits of a base CNN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// The mean over all positions.
    Gap,
    /// Averages over a 4×4 grid, flattened.
    Grid,
    /// The whole map, flattened.
    Flat,
}

/// What takes the steps of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    /// Adam.
    Adam,
    /// Adam with decoupled weight decay.
    Adamw,
}

/// `[train-base.NAME]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainBase {
    /// `conv4-np19`, `conv4-np21`, `conv4-pooled` or `efficientnet-lite0`.
    pub backbone: String,
    /// Filters of a Conv-4.
    pub width: i64,
    /// Imported weights that the backbone starts from and keeps; `none` trains from scratch.
    pub weights: String,
    /// The head.
    pub head: Head,
    /// Augmentation.
    pub augmentation: Augmentation,
    /// For `standard`: the least share of the photo's area that a random crop keeps.
    pub augmentation_area: f64,
    /// For `standard`: brightness, contrast and saturation are each scaled by a factor in `1 ± jitter`.
    pub augmentation_jitter: f64,
    /// Steps of the optimiser.
    pub steps: u64,
    /// Photos in a step.
    pub batch: usize,
    /// Learning rate, lowered to zero along a cosine.
    pub lr: f64,
    /// What takes the steps.
    pub optimizer: Optimizer,
    /// Weight decay: L2 with `adam`, decoupled with `adamw`.
    pub weight_decay: f64,
    /// The share of base photos that is held out to measure accuracy.
    pub holdout: f64,
    /// The seed; the top-level one when absent.
    pub seed: Option<u64>,
}

impl Default for TrainBase {
    fn default() -> Self {
        Self {
            backbone: "conv4-np19".to_owned(),
            width: 64,
            weights: "none".to_owned(),
            head: Head::Grid,
            augmentation: Augmentation::None,
            augmentation_area: 0.35,
            augmentation_jitter: 0.4,
            steps: 1000,
            batch: 32,
            lr: 1e-3,
            optimizer: Optimizer::Adam,
            weight_decay: 0.0,
            holdout: 0.1,
            seed: None,
        }
    }
}

impl TrainBase {
    pub(in crate::config) fn check(&self, path: &str) -> Result<(), ConfigError> {
        let key = |name: &str| format!("{path}.{name}");
        self.backbone
            .parse::<mlsm_nets::BackboneKind>()
            .map_err(|e| ConfigError::invalid(&key("backbone"), &e.to_string()))?;
        in_range(&key("width"), self.width as f64, 1.0, 1024.0)?;
        in_range(&key("batch"), self.batch as f64, 2.0, 65_536.0)?;
        in_range(&key("lr"), self.lr, 1e-12, 100.0)?;
        in_range(&key("holdout"), self.holdout, 0.0, 0.9)?;
        in_range(&key("augmentation_area"), self.augmentation_area, 0.01, 1.0)?;
        in_range(&key("augmentation_jitter"), self.augmentation_jitter, 0.0, 1.0)?;
        in_range(&key("weight_decay"), self.weight_decay, 0.0, 10.0)?;
        if self.weights != "none" && self.weights != self.backbone {
            let why = format!("weights `{}` do not fit backbone `{}`", self.weights, self.backbone);
            let fix = format!("set {path}.backbone = {:?}, or {path}.weights = \"none\"", self.weights);
            return Err(ConfigError::invalid(&key("weights"), &why).with_fix(fix));
        }
        if self.weights != "none" && (self.head != Head::Gap || self.augmentation != Augmentation::None) {
            let why = "a head on imported weights reads the mean of features that are computed once";
            let fix = format!("set {path}.head = \"gap\" and {path}.augmentation = \"none\"");
            return Err(ConfigError::invalid(&key("weights"), why).with_fix(fix));
        }
        in_range(&key("steps"), self.steps as f64, 1.0, 1e12)
    }
}
