//! `[train-base.NAME]`: the base CNNs.

use std::ffi::OsStr;
use std::path::Path;

use mlsm_data::resize::Resize;
use mlsm_errors::Explain;
use mlsm_nets::{BackboneKind, Norm, Precision};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::in_range;
use crate::config::{ConfigError, schema};
use crate::stages::pixels::PixelShape;
use crate::weights;

/// How photos are varied while a base CNN is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Augmentation {
    /// As they are (the paper).
    None,
    /// Random resized crop, colour jitter, flip (the field's standard).
    Standard,
}

/// What stands between the feature map and the logits of a base CNN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// The mean over all positions.
    Gap,
    /// Averages over a 4×4 grid, flattened.
    Grid,
    /// The whole map, flattened.
    Flat,
    /// The same, by its cosine to a vector of each class (Baseline++).
    Cosine,
}

/// What takes the steps of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    /// Adam.
    Adam,
    /// Adam with decoupled weight decay.
    Adamw,
}

/// `[train-base.NAME]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainBase {
    /// The name of a backbone.
    #[schemars(schema_with = "schema::backbone")]
    pub backbone: String,
    /// Filters of a Conv-4.
    pub width: i64,
    /// Imported weights that the backbone keeps, by name or as a file (safetensors or `.pth`); `none` trains from scratch.
    pub weights: String,
    /// How photos become square.
    pub resize: Resize,
    /// How colours are normalised.
    pub norm: Norm,
    /// What convolutions of the backbone compute in, wherever it runs.
    pub precision: Precision,
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
            resize: Resize::default(),
            norm: Norm::default(),
            precision: Precision::default(),
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
    /// Returns the file of imported weights, where a file is named.
    pub fn weights_file(&self) -> Option<&Path> {
        weights::is_file(&self.weights).then(|| Path::new(&self.weights))
    }

    /// Returns what tables call the imported weights: their name, or that of their file.
    pub fn weights_name(&self) -> &str {
        self.weights_file().and_then(Path::file_name).and_then(OsStr::to_str).unwrap_or(&self.weights)
    }

    /// Returns the pixels that the backbone of a checked section reads.
    pub fn pixel_shape(&self) -> PixelShape {
        let kind: BackboneKind = self.backbone.parse().expect("the configuration was checked");
        let size_px = u32::try_from(kind.input_px()).expect("a backbone's input is a small positive number");
        PixelShape { size_px, resize: self.resize }
    }

    pub(in crate::config) fn check(&self, path: &str) -> Result<(), ConfigError> {
        let key = |name: &str| format!("{path}.{name}");
        self.backbone
            .parse::<BackboneKind>()
            .map_err(|e| ConfigError::invalid(&key("backbone"), &e.explain().to_string()))?;
        in_range(&key("width"), self.width as f64, 1.0, 1024.0)?;
        in_range(&key("batch"), self.batch as f64, 2.0, 65_536.0)?;
        in_range(&key("lr"), self.lr, 1e-12, 100.0)?;
        in_range(&key("holdout"), self.holdout, 0.0, 0.9)?;
        in_range(&key("augmentation_area"), self.augmentation_area, 0.01, 1.0)?;
        in_range(&key("augmentation_jitter"), self.augmentation_jitter, 0.0, 1.0)?;
        in_range(&key("weight_decay"), self.weight_decay, 0.0, 10.0)?;
        if self.weights != "none" && self.weights_file().is_none() {
            self.check_known(path)?;
        }
        if self.weights != "none" && (self.head != Head::Gap || self.augmentation != Augmentation::None) {
            let why = "a head on imported weights reads the mean of features that are computed once";
            let fix = format!("set {path}.head = \"gap\" and {path}.augmentation = \"none\"");
            return Err(ConfigError::invalid(&key("weights"), why).with_fix(fix));
        }
        if self.weights != "none" && self.norm == Norm::Dataset {
            let why = "imported weights were trained with the colours of other photos";
            let fix = format!("remove {}", key("norm"));
            return Err(ConfigError::invalid(&key("norm"), why).with_fix(fix));
        }
        in_range(&key("steps"), self.steps as f64, 1.0, 1e12)
    }

    /// Weights by name are known, and are of the backbone.
    fn check_known(&self, path: &str) -> Result<(), ConfigError> {
        let Some(known) = weights::known(&self.weights) else {
            let names: Vec<_> = weights::KNOWN.iter().map(|known| known.name).collect();
            let why = format!(
                "no weights are known as `{}`; there are: none, {}, and files that end in .safetensors, .pth, .pt or .bin",
                self.weights,
                names.join(", ")
            );
            return Err(ConfigError::invalid(&format!("{path}.weights"), &why));
        };
        if known.backbone == self.backbone {
            return Ok(());
        }
        let why = format!("weights `{}` do not fit backbone `{}`", self.weights, self.backbone);
        let fix = format!("set {path}.backbone = {:?}, or {path}.weights = \"none\"", known.backbone);
        Err(ConfigError::invalid(&format!("{path}.weights"), &why).with_fix(fix))
    }
}
