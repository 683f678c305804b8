//! Few-shot methods, one file each: how labelled support images turn into scores for queries.
//!
//! A method is never handed the labels of queries except in [`Method::episode_loss`], which only training calls. To add
//! one: a file here that implements [`Method`] and [`Described`], and a line in `registry.rs`.

mod anchor;
mod baseline;
mod baseline_plus;
mod feat;
mod frn;
mod fuse;
mod imprinted;
mod maco;
mod maml;
mod matching;
mod meta_lstm;
mod meta_sgd;
mod mlsm;
mod mlsm_options;
mod prototypes;
mod prototypical;
mod r2d2;
mod registry;
mod relation;
mod siamese;
mod simpleshot;
mod triplet;
mod whole_net;

pub use baseline::Baseline;
pub use baseline_plus::BaselinePlus;
pub use feat::Feat;
pub use frn::Frn;
pub use imprinted::Imprinted;
pub use maco::Maco;
pub use maml::Maml;
pub use matching::Matching;
pub use meta_lstm::MetaLstm;
pub use meta_sgd::MetaSgd;
pub use mlsm::{Mlsm, VECTOR};
pub use mlsm_options::{
    AnchorKind, FuseNorm, Fusion, FusionPoint, GapSource, Levels, Loss, MlsmOptions, Pair, ShotPool,
};
pub use prototypes::{Metric, cl2n, class_mean_scores, class_means};
pub use prototypical::Prototypical;
pub use r2d2::R2d2;
pub use registry::{Described, METHODS, MethodKind, Refused, Switches, TrainingDefaults, method};
pub use relation::Relation;
pub use siamese::Siamese;
pub use simpleshot::SimpleShot;
pub use triplet::Triplet;

use tch::Tensor;

use crate::backbone::{Backbone, BackboneSpec};
use crate::params::Params;
use crate::phase::Phase;

/// What a method is given of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// The backbone's feature map: `[n, c, h, w]`.
    Maps,
    /// The backbone's embedding: `[n, d]`.
    Embeddings,
    /// Packed pixels: `[n, s, s, 3]`, u8; the method has a backbone of its own, which it adapts as a whole.
    Pixels,
}

/// What a method's weights depend on besides its switches.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// The backbone whose maps or embeddings are read, or that the method builds for itself.
    pub backbone: BackboneSpec,
    /// Channels of the backbone's map.
    pub channels: i64,
    /// Positions a side of the map that an embedding keeps.
    pub embedding_side: i64,
    /// Classes of an episode, for methods with an output for each.
    pub n_way: i64,
    /// The levels, for the method that has some.
    pub levels: Levels,
}

impl Shape {
    /// Length of an embedding.
    pub fn embedding_dim(&self) -> i64 {
        self.channels * self.embedding_side * self.embedding_side
    }
}

/// The labelled images of an episode.
#[derive(Debug)]
pub struct Support<'a> {
    /// What [`Method::represent`] gave: `[n_way * k_shot, …]`, grouped by class.
    pub rows: &'a Tensor,
    /// Classes.
    pub n_way: i64,
    /// Images of each class.
    pub k_shot: i64,
}

impl Support<'_> {
    /// The place of each row's class in the episode: `[n_way * k_shot]`, i64.
    pub fn labels(&self) -> Tensor {
        let ways = Tensor::arange(self.n_way, (tch::Kind::Int64, self.rows.device()));
        ways.repeat_interleave_self_int(self.k_shot, 0, None)
    }
}

/// A method with its weights.
pub trait Method: Send {
    /// What is learnt in episodes.
    fn params(&self) -> &Params;

    /// What is learnt in episodes, to load other tensors.
    fn params_mut(&mut self) -> &mut Params;

    /// One row for each image, from what [`Reads`] says of the images and, for the level O, of their objects: what of an
    /// image does not depend on the episode. `Phase::Train` normalises by the batch.
    fn represent(&self, image: Option<&Tensor>, _object: Option<&Tensor>, _phase: Phase) -> Tensor {
        image.expect("the images were given").shallow_clone()
    }

    /// The backbone that a method has of its own, where it reads pixels.
    fn own_backbone(&self) -> Option<&dyn Backbone> {
        None
    }

    /// Learns the classes of an episode. `Phase::Train` keeps the graph for training's gradients.
    fn head<'a>(&'a self, support: &Support<'_>, phase: Phase) -> Box<dyn Head + 'a>;

    /// The loss that training minimises, a scalar: by default the cross-entropy of the scores. `queries`: rows of
    /// [`Method::represent`]; `labels`: `[q]`, i64, the place of each query's class in the episode.
    fn episode_loss(&self, support: &Support<'_>, queries: &Tensor, labels: &Tensor) -> Tensor {
        cross_entropy(&self.head(support, Phase::Train).scores(queries), labels)
    }

    /// What of an image is averaged over all base photos before training: `[n, d]` from maps or embeddings of images
    /// (or of objects); nothing where a method needs no such mean.
    fn base_statistic(&self, _rows: &Tensor) -> Option<Tensor> {
        None
    }

    /// Stores the means of [`Method::base_statistic`], `[d]`, of images and of objects.
    fn set_base_means(&mut self, _means: [Option<&Tensor>; 2]) {}
}

/// The classes of one episode, as a method learnt them.
pub trait Head {
    /// Scores rows of [`Method::represent`]: `[q, n_way]`, larger is closer.
    fn scores(&self, queries: &Tensor) -> Tensor;
}

/// The mean cross-entropy of scores `[q, n_way]` to labels `[q]`.
pub(crate) fn cross_entropy(scores: &Tensor, labels: &Tensor) -> Tensor {
    scores.log_softmax(-1, scores.kind()).nll_loss(&labels.to_device(scores.device()))
}

/// Refuses a switch that is not above zero.
fn positive(key: &'static str, value: f64) -> Result<(), (&'static str, String)> {
    match value > 0.0 && value.is_finite() {
        true => Ok(()),
        false => Err((key, format!("{value} is not a number above 0"))),
    }
}
