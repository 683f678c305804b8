//! Baseline: a linear classifier that is fitted to the support set by gradient descent.
//!
//! Source: Chen, Liu, Kira, Wang and Huang 2019 ("A Closer Look at Few-shot Classification"), section 3.2, and its code for
//! the optimiser. There a pass takes batches of four images and the first weights are drawn; here there are as many steps,
//! but each takes the whole support set, and the first weights are 0, so that neither the order of images nor a draw plays
//! a part.

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::{Described, Head, Method, Reads, Shape, Support};
use crate::params::Params;
use crate::phase::Phase;

/// Images of one step in the authors' code.
const BATCH: u64 = 4;

/// The switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BaselineOptions {
    /// Steps of gradient descent for every four support images.
    pub steps: u64,
    /// Their rate.
    pub inner_lr: f64,
    /// The share of the last step in the next.
    pub momentum: f64,
    /// The share of a slope, after the first, that is left out of a step.
    pub dampening: f64,
    /// L2.
    pub decay: f64,
}

impl Default for BaselineOptions {
    fn default() -> Self {
        Self { steps: 100, inner_lr: 0.01, momentum: 0.9, dampening: 0.9, decay: 1e-3 }
    }
}

impl BaselineOptions {
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        super::positive("steps", self.steps as f64)?;
        super::positive("inner_lr", self.inner_lr)
    }

    /// Descends from `start` along the slopes of `images` that `slopes` gives at a point, as PyTorch's SGD does.
    pub(super) fn descend(
        &self,
        images: i64,
        start: Vec<Tensor>,
        slopes: impl Fn(&[Tensor]) -> Vec<Tensor>,
    ) -> Vec<Tensor> {
        let mut point = start;
        let mut velocity: Option<Vec<Tensor>> = None;
        for _ in 0..self.steps * images.unsigned_abs().div_ceil(BATCH) {
            let decayed = slopes(&point).into_iter().zip(&point).map(|(slope, value)| slope + value * self.decay);
            let next: Vec<Tensor> = match velocity.take() {
                None => decayed.collect(),
                Some(last) => {
                    let kept = last.into_iter().map(|last| last * self.momentum);
                    kept.zip(decayed).map(|(kept, slope)| kept + slope * (1.0 - self.dampening)).collect()
                }
            };
            point = point.iter().zip(&next).map(|(value, step)| value - step * self.inner_lr).collect();
            velocity = Some(next);
        }
        point
    }
}

/// The method.
#[derive(Debug)]
pub struct Baseline {
    options: BaselineOptions,
    params: Params,
}

struct Classifier {
    weight: Tensor, // [n_way, d]
    bias: Tensor,   // [n_way]
}

impl Described for Baseline {
    type Options = BaselineOptions;
    const NAME: &'static str = "baseline";
    const READS: Reads = Reads::Embeddings;
    const SOURCE: &'static str = "Chen et al. 2019, section 3.2";

    fn check(options: &Self::Options) -> Result<(), (&'static str, String)> {
        options.check()
    }

    fn make(options: Self::Options, _shape: &Shape, _rng: &mut ChaCha8Rng, device: Device) -> Self {
        Self { options, params: Params::new(device) }
    }
}

impl Method for Baseline {
    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    /// The classifier counts as a constant: a backbone that is learnt in episodes gets its slopes from the queries.
    fn head<'a>(&'a self, support: &Support<'_>, _phase: Phase) -> Box<dyn Head + 'a> {
        let _guard = tch::no_grad_guard();
        let (rows, count) = (support.rows, support.rows.size()[0] as f64);
        let truth = support.labels().one_hot(support.n_way).to_kind(rows.kind());
        let zeros = |size: &[i64]| Tensor::zeros(size, (rows.kind(), rows.device()));
        let start = vec![zeros(&[support.n_way, rows.size()[1]]), zeros(&[support.n_way])];
        let fitted = self.options.descend(rows.size()[0], start, |point| {
            let error = (rows.linear(&point[0], Some(&point[1])).softmax(-1, Kind::Float) - &truth) / count; // [n, n_way]
            vec![error.tr().matmul(rows), error.sum_dim_intlist([0i64].as_slice(), false, rows.kind())]
        });
        let [weight, bias] = <[Tensor; 2]>::try_from(fitted).expect("two tensors were fitted");
        Box::new(Classifier { weight, bias })
    }
}

impl Head for Classifier {
    fn scores(&self, queries: &Tensor) -> Tensor {
        queries.linear(&self.weight, Some(&self.bias))
    }
}
