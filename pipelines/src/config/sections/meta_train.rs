//! `[meta-train.NAME]`: what learns in episodes.

use serde::{Deserialize, Serialize};

use super::{ObjectSource, OneOrMany, in_range};
use crate::config::ConfigError;

/// A method that learns in episodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Multi-level similarity learning.
    Mlsm,
}

/// What S_η sees of a class and a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PairName {
    /// Both vectors (paper eq. 5).
    #[serde(rename = "concat")]
    Concat,
    /// Absolute difference and product.
    #[serde(rename = "absdiff+product")]
    AbsDiffProduct,
    /// All four.
    #[serde(rename = "concat+absdiff+product")]
    ConcatAbsDiffProduct,
}

/// What the scores are trained against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossName {
    /// Mean squared error of sigmoid scores (Relation Networks).
    Mse,
    /// Binary cross-entropy.
    Bce,
    /// Cross-entropy over the ways.
    Ce,
}

/// How the learning rate falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Straight to zero at the last episode.
    Linear,
    /// Halved every `lr_halve_every` episodes (the paper).
    Halve,
}

/// `[meta-train.NAME]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetaTrain {
    /// The method.
    pub method: Method,
    /// The base CNN, by name, whose feature maps are read.
    pub embedding: String,
    /// Any of I, G, O, joined by `+`; a list makes a row each.
    pub levels: OneOrMany<String>,
    /// What the object level looks at; a list makes a row each.
    pub object: OneOrMany<ObjectSource>,
    /// The pair features.
    pub pair: PairName,
    /// The loss.
    pub loss: LossName,
    /// Hidden units of S_η.
    pub sim_hidden: Vec<i64>,
    /// Whether A_θ's convolutions are shared between image and object.
    pub share_adjust: bool,
    /// Classes of a training episode.
    pub n_way: usize,
    /// Shots of training episodes, in turn.
    pub train_shot: OneOrMany<usize>,
    /// Queries per class in training.
    pub train_query: usize,
    /// Training episodes at most.
    pub episodes: u64,
    /// Episodes between validations.
    pub val_every: u64,
    /// Validation episodes for each shot.
    pub val_episodes: u64,
    /// Validations without improvement after which training stops.
    pub patience: u64,
    /// Learning rate of Adam.
    pub lr: f64,
    /// How it falls.
    pub schedule: Schedule,
    /// For `halve`: after how many episodes.
    pub lr_halve_every: u64,
    /// The largest norm of a module's gradient.
    pub clip: f64,
    /// Weight decay (L2).
    pub weight_decay: f64,
    /// Seeds; a list makes a row each. The top-level one when absent.
    pub seeds: Option<OneOrMany<u64>>,
}

impl Default for MetaTrain {
    fn default() -> Self {
        Self {
            method: Method::Mlsm,
            embedding: String::new(),
            levels: OneOrMany::One("I+G+O".to_owned()),
            object: OneOrMany::One(ObjectSource::GradCam),
            pair: PairName::AbsDiffProduct,
            loss: LossName::Ce,
            sim_hidden: vec![64],
            share_adjust: true,
            n_way: 5,
            train_shot: OneOrMany::Many(vec![1, 5]),
            train_query: 8,
            episodes: 1000,
            val_every: 100,
            val_episodes: 200,
            patience: 20,
            lr: 1e-3,
            schedule: Schedule::Linear,
            lr_halve_every: 100_000,
            clip: 0.5,
            weight_decay: 0.0,
            seeds: None,
        }
    }
}

impl MetaTrain {
    /// Tells whether any of its rows has the object level.
    pub fn uses_object(&self) -> bool {
        self.levels.to_vec().iter().any(|l| l.split('+').any(|level| level == "O"))
    }

    pub(in crate::config) fn check(&self, path: &str) -> Result<(), ConfigError> {
        let key = |name: &str| format!("{path}.{name}");
        for levels in self.levels.to_vec() {
            levels.parse::<mlsm_nets::Levels>().map_err(|e| ConfigError::invalid(&key("levels"), &e.to_string()))?;
        }
        for shot in self.train_shot.to_vec() {
            in_range(&key("train_shot"), shot as f64, 1.0, 1000.0)?;
        }
        if self.train_shot.to_vec().is_empty() {
            return Err(ConfigError::invalid(&key("train_shot"), "the list is empty"));
        }
        in_range(&key("n_way"), self.n_way as f64, 2.0, 1000.0)?;
        in_range(&key("train_query"), self.train_query as f64, 1.0, 1000.0)?;
        in_range(&key("episodes"), self.episodes as f64, 1.0, 1e12)?;
        in_range(&key("val_every"), self.val_every as f64, 1.0, 1e12)?;
        in_range(&key("val_episodes"), self.val_episodes as f64, 1.0, 1e9)?;
        in_range(&key("lr_halve_every"), self.lr_halve_every as f64, 1.0, 1e12)?;
        in_range(&key("lr"), self.lr, 1e-12, 100.0)
    }
}
