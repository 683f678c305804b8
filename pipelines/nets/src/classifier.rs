//! A linear classifier on a feature map: the head of base training, whose logits Grad-CAM differentiates.

use std::fmt;
use std::str::FromStr;

use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use crate::backbone::Backbone;
use crate::error::NetError;
use crate::layers::Linear;
use crate::params::Params;

/// How the map becomes the vector that the linear layer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Mean over the map.
    Gap,
    /// Average over a 4x4 grid of the map, flattened.
    Grid,
    /// The whole map, flattened.
    Flat,
}

const GRID: i64 = 4;

impl Head {
    /// Length of the vector for a map of `channels` x `map_px` x `map_px`.
    fn length(self, channels: i64, map_px: i64) -> i64 {
        match self {
            Head::Gap => channels,
            Head::Grid => channels * GRID * GRID,
            Head::Flat => channels * map_px * map_px,
        }
    }

    fn vector(self, map: &Tensor) -> Tensor {
        match self {
            Head::Gap => map.mean_dim([2i64, 3].as_slice(), false, map.kind()),
            Head::Grid => map.adaptive_avg_pool2d([GRID, GRID]).flatten(1, -1),
            Head::Flat => map.flatten(1, -1),
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Head::Gap => "gap",
            Head::Grid => "grid",
            Head::Flat => "flat",
        })
    }
}

impl FromStr for Head {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        match text {
            "gap" => Ok(Head::Gap),
            "grid" => Ok(Head::Grid),
            "flat" => Ok(Head::Flat),
            _ => Err(NetError::UnknownName { what: "head", given: text.to_owned(), known: "gap, grid, flat" }),
        }
    }
}

/// Pools the map as its [`Head`] says and applies one linear layer.
#[derive(Debug)]
pub struct Classifier {
    head: Head,
    params: Params,
    linear: Linear,
}

impl Classifier {
    /// Fresh weights from `rng` for the maps of `net`, on its device; tensors `weight` and `bias`.
    pub fn new(net: &dyn Backbone, head: Head, n_classes: i64, rng: &mut ChaCha8Rng) -> Self {
        let mut params = Params::new(net.params().device());
        let linear = Linear::new(&mut params, "", head.length(net.channels(), net.map_px()), n_classes, rng);
        Classifier { head, params, linear }
    }

    /// `map`: `[n, c, h, w]`. Returns `[n, n_classes]`, before any softmax.
    pub fn logits(&self, map: &Tensor) -> Tensor {
        self.logits_with(&self.params, map)
    }

    /// The same with the tensors of `params` in place of the classifier's own.
    pub fn logits_with(&self, params: &Params, map: &Tensor) -> Tensor {
        self.linear.forward(params, &self.head.vector(map))
    }

    /// The weights of each class: `[n_classes, length]`.
    pub fn class_rows(&self) -> Tensor {
        self.linear.weight(&self.params)
    }

    /// The classifier's tensors.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The classifier's tensors, to load others.
    pub fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }
}
