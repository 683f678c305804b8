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

/// How F_φ comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackboneMode {
    /// The base CNN as it is; heads learn on its stored maps.
    Frozen,
    /// Learnt in episodes, from scratch (the paper).
    EndToEnd,
    /// Learnt in episodes, from the base CNN's weights.
    BaseInit,
}

impl BackboneMode {
    /// Returns the name as in the configuration and in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::EndToEnd => "end-to-end",
            Self::BaseInit => "base-init",
        }
    }
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

/// Which pairs train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pairs {
    /// Queries against classes.
    #[serde(rename = "query")]
    Query,
    /// The support photos themselves against classes, too.
    #[serde(rename = "query+support")]
    QueryAndSupport,
}

/// What the similarity starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnchorName {
    /// Nothing (the paper).
    None,
    /// The nearest class mean of the same embeddings, which it learns to correct.
    Cl2n,
}

/// `[meta-train.NAME]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetaTrain {
    /// The method.
    pub method: Method,
    /// The base CNN, by name, whose feature maps are read; for `end-to-end`, what F_φ looks like.
    pub embedding: String,
    /// How F_φ comes about.
    pub backbone: BackboneMode,
    /// Whether image and object go through one F_φ, where it is learnt.
    pub share_encoder: bool,
    /// Learning rate of F_φ, where it is learnt; `lr` when absent.
    pub encoder_lr: Option<f64>,
    /// Any of I, G, O, joined by `+`; a list makes a row each.
    pub levels: OneOrMany<String>,
    /// What the object level looks at; a list makes a row each. `cam.method` when absent.
    pub object: Option<OneOrMany<ObjectSource>>,
    /// The pair features.
    pub pair: PairName,
    /// The loss.
    pub loss: LossName,
    /// How many times a pair of one class counts in `mse` and `bce`.
    pub pos_weight: f64,
    /// `vec576`, `vec64` or `map`: what the levels become before they are summed.
    pub fusion: String,
    /// `features` or `scores`: where the levels are summed.
    pub fusion_point: String,
    /// `none`, `layernorm` or `scalars`: what brings the levels to one scale.
    pub fuse_norm: String,
    /// `image` or `image+object`: what G is the mean of.
    pub gap_source: String,
    /// `mean` or `sum`: how shots become one vector.
    pub shot_pool: String,
    /// Which pairs train.
    pub pairs: Pairs,
    /// What the similarity starts from, where maps are stored.
    pub anchor: AnchorName,
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
            backbone: BackboneMode::Frozen,
            share_encoder: true,
            encoder_lr: None,
            levels: OneOrMany::One("I+G+O".to_owned()),
            object: None,
            pair: PairName::AbsDiffProduct,
            loss: LossName::Ce,
            pos_weight: 1.0,
            fusion: "vec576".to_owned(),
            fusion_point: "features".to_owned(),
            fuse_norm: "none".to_owned(),
            gap_source: "image".to_owned(),
            shot_pool: "mean".to_owned(),
            pairs: Pairs::Query,
            anchor: AnchorName::None,
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
    /// Returns what the object level looks at, in a checked section.
    pub fn objects(&self) -> Vec<ObjectSource> {
        self.object.as_ref().map_or_else(Vec::new, OneOrMany::to_vec)
    }

    /// Tells whether any of its rows has the object level.
    pub fn uses_object(&self) -> bool {
        self.levels.to_vec().iter().any(|l| l.split('+').any(|level| level == "O"))
    }

    pub(in crate::config) fn check(&self, path: &str) -> Result<(), ConfigError> {
        let key = |name: &str| format!("{path}.{name}");
        for levels in self.levels.to_vec() {
            levels.parse::<mlsm_nets::Levels>().map_err(|e| ConfigError::invalid(&key("levels"), &e.to_string()))?;
        }
        parsed::<mlsm_nets::Fusion>(&key("fusion"), &self.fusion)?;
        parsed::<mlsm_nets::FusionPoint>(&key("fusion_point"), &self.fusion_point)?;
        parsed::<mlsm_nets::FuseNorm>(&key("fuse_norm"), &self.fuse_norm)?;
        parsed::<mlsm_nets::GapSource>(&key("gap_source"), &self.gap_source)?;
        parsed::<mlsm_nets::ShotPool>(&key("shot_pool"), &self.shot_pool)?;
        if self.fusion == "map" && self.fuse_norm == "layernorm" {
            let fix = format!("set {path}.fuse_norm = \"scalars\" or \"none\"");
            return Err(ConfigError::invalid(&key("fuse_norm"), "`layernorm` is for vectors, not maps").with_fix(fix));
        }
        if self.anchor != AnchorName::None && self.backbone != BackboneMode::Frozen {
            let fix = format!("set {path}.anchor = \"none\" or {path}.backbone = \"frozen\"");
            let why = "class means of embeddings stand still only where the backbone does";
            return Err(ConfigError::invalid(&key("anchor"), why).with_fix(fix));
        }
        in_range(&key("pos_weight"), self.pos_weight, 1e-6, 1e6)?;
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
        in_range(&key("encoder_lr"), self.encoder_lr.unwrap_or(self.lr), 0.0, 100.0)?;
        in_range(&key("lr"), self.lr, 1e-12, 100.0)
    }
}

fn parsed<T: std::str::FromStr<Err = mlsm_nets::NetError>>(key: &str, text: &str) -> Result<(), ConfigError> {
    text.parse::<T>().map(drop).map_err(|e| ConfigError::invalid(key, &e.to_string()))
}
