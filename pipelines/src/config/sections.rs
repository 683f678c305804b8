//! One struct per section of the TOML file. Field comments are the reference; defaults stand in `Default`.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ConfigError;

/// A value or a list of values: a list makes a grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

/// What to do with a photo that cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BadImage {
    /// Fail, naming every such photo.
    Error,
    /// Leave it out and list it in the table `skipped`.
    Skip,
}

/// `[data]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// A CUB folder or a folder of class folders; without it, `[data.synthetic]` is drawn.
    pub path: Option<PathBuf>,
    /// The synthetic data set that is drawn when there is no path.
    pub synthetic: Option<Synthetic>,
    /// Whether a listed photo that is absent is an error rather than a counted warning.
    pub strict: bool,
    /// What to do with a photo that cannot be decoded.
    pub on_bad_image: BadImage,
    /// The most photos of one shard; a larger class is split into buckets.
    pub shard_photos: usize,
}

impl Default for Data {
    fn default() -> Self {
        Self { path: None, synthetic: None, strict: false, on_bad_image: BadImage::Error, shard_photos: 512 }
    }
}

/// `[data.synthetic]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Synthetic {
    /// How many classes.
    pub classes: u32,
    /// How many photos of each.
    pub images_per_class: u32,
    /// The side of a photo in pixels.
    pub size_px: u32,
    /// The seed; the top-level one when absent.
    pub seed: Option<u64>,
}

impl Default for Synthetic {
    fn default() -> Self {
        Self { classes: 36, images_per_class: 40, size_px: 224, seed: None }
    }
}

/// `[splits]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Splits {
    /// The name of a published split, `random`, or `file`.
    pub rule: String,
    /// For `random`: the shares of base, val and novel classes.
    pub ratios: [f64; 3],
    /// For `random`: the seed; the top-level one when absent.
    pub seed: Option<u64>,
    /// For `file`: the file that assigns classes to parts.
    pub file: Option<PathBuf>,
}

impl Default for Splits {
    fn default() -> Self {
        Self { rule: "closerlook".to_owned(), ratios: [0.5, 0.25, 0.25], seed: None, file: None }
    }
}

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
    /// Steps of the optimiser.
    pub steps: u64,
    /// Photos in a step.
    pub batch: usize,
    /// Learning rate, lowered to zero along a cosine.
    pub lr: f64,
    /// Weight decay (L2).
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
            steps: 1000,
            batch: 32,
            lr: 1e-3,
            weight_decay: 0.0,
            holdout: 0.1,
            seed: None,
        }
    }
}

impl TrainBase {
    pub(super) fn check(&self, path: &str) -> Result<(), ConfigError> {
        let key = |name: &str| format!("{path}.{name}");
        self.backbone
            .parse::<mlsm_nets::BackboneKind>()
            .map_err(|e| ConfigError::invalid(&key("backbone"), &e.to_string()))?;
        in_range(&key("width"), self.width as f64, 1.0, 1024.0)?;
        in_range(&key("batch"), self.batch as f64, 2.0, 65_536.0)?;
        in_range(&key("lr"), self.lr, 1e-12, 100.0)?;
        in_range(&key("holdout"), self.holdout, 0.0, 0.9)?;
        in_range(&key("steps"), self.steps as f64, 1.0, 1e12)
    }
}

/// What the object level of a row looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectSource {
    /// The box of Grad-CAM.
    GradCam,
    /// The whole photo once more: is O just a second pass?
    WholeTwice,
    /// A fixed box in the centre, 70 % of each side.
    CentreBox,
    /// The true box of the data set.
    OracleBox,
}

impl ObjectSource {
    /// Returns the name as in the configuration and in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::GradCam => "grad-cam",
            Self::WholeTwice => "whole-twice",
            Self::CentreBox => "centre-box",
            Self::OracleBox => "oracle-box",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::GradCam, Self::WholeTwice, Self::CentreBox, Self::OracleBox].into_iter().find(|o| o.name() == name)
    }
}

/// Which pixels a crop is cut from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CropFrom {
    /// The photo itself, reopened and checked: all its detail.
    Original,
    /// The squashed pixels that the localiser saw (likely the paper's way).
    Squashed,
}

/// `[cam]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cam {
    /// The base CNN, by name, whose Grad-CAM locates objects.
    pub localiser: String,
    /// Positions of the min–max normalised map at or above it belong to the object.
    pub threshold: f64,
    /// Further thresholds whose boxes are measured, not used.
    pub audit: Vec<f64>,
    /// The share of the box's side that is added on each side.
    pub margin: f64,
    /// A box narrower than this share of the photo's side counts as empty.
    pub min_box: f64,
    /// Which pixels a crop is cut from.
    pub crop_from: CropFrom,
}

impl Default for Cam {
    fn default() -> Self {
        Self {
            localiser: String::new(),
            threshold: 0.3,
            audit: Vec::new(),
            margin: 0.0,
            min_box: 0.05,
            crop_from: CropFrom::Original,
        }
    }
}

impl Cam {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for threshold in self.audit.iter().chain([&self.threshold]) {
            in_range("cam.threshold", *threshold, 0.0, 1.0)?;
        }
        in_range("cam.margin", self.margin, 0.0, 2.0)?;
        in_range("cam.min_box", self.min_box, 0.0, 1.0)
    }
}

/// The number format of stored feature maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MapPrecision {
    /// Half the space; heads are trained on the rounded values.
    F16,
    /// As computed.
    F32,
}

/// `[extract]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Extract {
    /// The number format of stored feature maps; embeddings are always f32.
    pub maps: MapPrecision,
}

impl Default for Extract {
    fn default() -> Self {
        Self { maps: MapPrecision::F16 }
    }
}

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

    pub(super) fn check(&self, path: &str) -> Result<(), ConfigError> {
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

/// A row that needs no training in episodes: `pixels`, `cl2n:EMBEDDING` or `cl2n:EMBEDDING+OBJECT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// Nearest class mean of raw pixels, Euclidean.
    Pixels,
    /// Nearest class mean of centred, L2-normalised embeddings (SimpleShot).
    Cl2n {
        /// The base CNN, by name.
        embedding: String,
        /// The object whose embedding is joined to the whole photo's.
        object: Option<ObjectSource>,
    },
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pixels => write!(f, "pixels"),
            Self::Cl2n { embedding, object: None } => write!(f, "cl2n:{embedding}"),
            Self::Cl2n { embedding, object: Some(object) } => write!(f, "cl2n:{embedding}+{}", object.name()),
        }
    }
}

impl Serialize for Baseline {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Baseline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong = || serde::de::Error::custom(format!("`{text}` is not `pixels`, `cl2n:NAME` or `cl2n:NAME+OBJECT`"));
        if text == "pixels" {
            return Ok(Self::Pixels);
        }
        let rest = text.strip_prefix("cl2n:").ok_or_else(wrong)?;
        let (embedding, object) = match rest.split_once('+') {
            Some((embedding, object)) => (embedding, Some(ObjectSource::from_name(object).ok_or_else(wrong)?)),
            None => (rest, None),
        };
        Ok(Self::Cl2n { embedding: embedding.to_owned(), object })
    }
}

/// A named number of episodes and queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// 100 episodes of 40 queries per class (the paper's 200 query images).
    Paper,
    /// 600 episodes of 15 queries per class.
    Standard,
    /// 10,000 episodes of 15 queries per class.
    Strict,
}

/// Which predictions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Predictions {
    /// Every query of every episode.
    All,
    /// None.
    None,
}

/// `[evaluate]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Evaluate {
    /// Episodes and queries by name.
    pub protocol: Protocol,
    /// Episodes, instead of the protocol's.
    pub episodes: Option<u64>,
    /// Queries per class, instead of the protocol's.
    pub n_query: Option<usize>,
    /// Classes of an episode.
    pub n_way: usize,
    /// Shots; a list makes a row each.
    pub k_shot: OneOrMany<usize>,
    /// Which predictions are kept; by default all, none for `strict`.
    pub predictions: Option<Predictions>,
    /// Rows that need no training in episodes.
    pub baselines: Vec<Baseline>,
    /// The seed of the episode list; the top-level one when absent.
    pub seed: Option<u64>,
}

impl Default for Evaluate {
    fn default() -> Self {
        Self {
            protocol: Protocol::Standard,
            episodes: None,
            n_query: None,
            n_way: 5,
            k_shot: OneOrMany::Many(vec![1, 5]),
            predictions: None,
            baselines: vec![Baseline::Pixels],
            seed: None,
        }
    }
}

impl Evaluate {
    /// Returns the number of episodes.
    pub fn episode_count(&self) -> u64 {
        self.episodes.unwrap_or(match self.protocol {
            Protocol::Paper => 100,
            Protocol::Standard => 600,
            Protocol::Strict => 10_000,
        })
    }

    /// Returns the number of queries per class.
    pub fn query_count(&self) -> usize {
        self.n_query.unwrap_or(if self.protocol == Protocol::Paper { 40 } else { 15 })
    }

    /// Tells whether predictions are kept.
    pub fn keeps_predictions(&self) -> bool {
        match self.predictions {
            Some(choice) => choice == Predictions::All,
            None => self.protocol != Protocol::Strict,
        }
    }

    /// Returns the protocol's name, or `custom` when its numbers were replaced.
    pub fn protocol_name(&self) -> &'static str {
        match (self.episodes.is_some() || self.n_query.is_some(), self.protocol) {
            (true, _) => "custom",
            (false, Protocol::Paper) => "paper",
            (false, Protocol::Standard) => "standard",
            (false, Protocol::Strict) => "strict",
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        in_range("evaluate.n_way", self.n_way as f64, 2.0, 1000.0)?;
        in_range("evaluate.episodes", self.episode_count() as f64, 2.0, 1e9)?;
        in_range("evaluate.n_query", self.query_count() as f64, 1.0, 10_000.0)?;
        for shot in self.k_shot.to_vec() {
            in_range("evaluate.k_shot", shot as f64, 1.0, 1000.0)?;
        }
        Ok(())
    }
}

/// `[numerics]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
