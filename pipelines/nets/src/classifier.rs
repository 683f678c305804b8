//! A classifier on a feature map, linear or of cosines: the head of base training, whose logits Grad-CAM differentiates.

use std::fmt;
use std::str::FromStr;

use rand_chacha::ChaCha8Rng;
use tch::Tensor;

use crate::backbone::Backbone;
use crate::draw::{stream_of, uniform_tensor};
use crate::error::NetError;
use crate::layers::Linear;
use crate::params::{Params, Role, Slot};

/// How the map becomes the vector that the linear layer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Mean over the map.
    Gap,
    /// Average over a 4x4 grid of the map, flattened.
    Grid,
    /// The whole map, flattened.
    Flat,
    /// The same, compared by its cosine to a vector of each class: the head of Baseline++ (Chen et al. 2019, section 3.2).
    Cosine,
}

const GRID: i64 = 4;
/// Up to so many classes cosines are multiplied by 2, beyond by 10 (the authors' code).
const FEW_CLASSES: i64 = 200;

impl Head {
    /// Length of the vector for a map of `channels` x `map_px` x `map_px`.
    fn length(self, channels: i64, map_px: i64) -> i64 {
        match self {
            Head::Gap => channels,
            Head::Grid => channels * GRID * GRID,
            Head::Flat | Head::Cosine => channels * map_px * map_px,
        }
    }

    fn vector(self, map: &Tensor) -> Tensor {
        match self {
            Head::Gap => map.mean_dim([2i64, 3].as_slice(), false, map.kind()),
            Head::Grid => map.adaptive_avg_pool2d([GRID, GRID]).flatten(1, -1),
            Head::Flat | Head::Cosine => map.flatten(1, -1),
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Head::Gap => "gap",
            Head::Grid => "grid",
            Head::Flat => "flat",
            Head::Cosine => "cosine",
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
            "cosine" => Ok(Head::Cosine),
            _ => Err(NetError::UnknownName { what: "head", given: text.to_owned(), known: "gap, grid, flat, cosine" }),
        }
    }
}

/// Pools the map as its [`Head`] says and applies one linear layer, or takes cosines.
#[derive(Debug)]
pub struct Classifier {
    head: Head,
    params: Params,
    classes: Classes,
}

/// How a vector becomes logits.
#[derive(Debug)]
enum Classes {
    Linear(Linear),
    /// A direction `[n_classes, length]` and a learnt length `[n_classes, 1]` for each class.
    Cosines {
        directions: Slot,
        lengths: Slot,
        scale: f64,
    },
}

impl Classifier {
    /// Fresh weights from `rng` for the maps of `net`, on its device; tensors `weight` and `bias`, or `weight` and `length`.
    pub fn new(net: &dyn Backbone, head: Head, n_classes: i64, rng: &mut ChaCha8Rng) -> Self {
        let mut params = Params::new(net.params().device());
        let length = head.length(net.channels(), net.map_px());
        let classes = match head {
            Head::Cosine => {
                let drawn =
                    uniform_tensor(&mut stream_of(rng, "cosine"), &[n_classes, length], (length as f64).powf(-0.5));
                let lengths = norms(&drawn);
                Classes::Cosines {
                    directions: params.add("weight", &drawn, Role::Trainable),
                    lengths: params.add("length", &lengths, Role::Trainable),
                    scale: if n_classes <= FEW_CLASSES { 2.0 } else { 10.0 },
                }
            }
            Head::Gap | Head::Grid | Head::Flat => {
                Classes::Linear(Linear::new(&mut params, "", length, n_classes, rng))
            }
        };
        Classifier { head, params, classes }
    }

    /// `map`: `[n, c, h, w]`. Returns `[n, n_classes]`, before any softmax.
    pub fn logits(&self, map: &Tensor) -> Tensor {
        self.logits_with(&self.params, map)
    }

    /// The same with the tensors of `params` in place of the classifier's own.
    pub fn logits_with(&self, params: &Params, map: &Tensor) -> Tensor {
        let vector = self.head.vector(map);
        match &self.classes {
            Classes::Linear(linear) => linear.forward(params, &vector),
            Classes::Cosines { directions, lengths, scale } => {
                let directions = params.at(*directions);
                let weights = directions / norms(directions) * params.at(*lengths);
                (&vector / norms(&vector)).matmul(&weights.tr()) * *scale
            }
        }
    }

    /// The weights of each class: `[n_classes, length]`.
    pub fn class_rows(&self) -> Tensor {
        match &self.classes {
            Classes::Linear(linear) => linear.weight(&self.params),
            Classes::Cosines { directions, .. } => self.params.at(*directions).detach(),
        }
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

/// The length of each row, `[n, 1]`, never 0.
fn norms(rows: &Tensor) -> Tensor {
    rows.square().sum_dim_intlist([1i64].as_slice(), true, rows.kind()).sqrt().clamp_min(1e-5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbone::{BackboneKind, BackboneSpec, backbone};
    use rand_chacha::rand_core::SeedableRng;
    use tch::{Device, Kind};

    #[test]
    fn cosine_logits_forget_the_maps_scale_and_are_twice_the_cosine_times_the_classs_length() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let net = backbone(&BackboneSpec::new(BackboneKind::Conv4Pooled, 4), &mut rng, Device::Cpu);
        let head = Classifier::new(net.as_ref(), Head::Cosine, 3, &mut rng);
        let map = Tensor::arange(2 * 4 * 25, (Kind::Float, Device::Cpu)).sin().reshape([2, 4, 5, 5]);
        let logits = head.logits(&map);
        assert!((head.logits(&(&map * 7.0)) - &logits).abs().max().double_value(&[]) < 1e-5);
        // A fresh class vector has its own length, so the logit is twice its product with the unit vector of the map.
        let vector = map.flatten(1, -1);
        let expected = (&vector / norms(&vector)).matmul(&head.class_rows().tr()) * 2.0;
        assert!((logits - expected).abs().max().double_value(&[]) < 1e-6);
    }
}
