//! Baseline++: a classifier of cosines that is fitted to the support set by gradient descent.
//!
//! Source: Chen, Liu, Kira, Wang and Huang 2019 ("A Closer Look at Few-shot Classification"), section 3.2, and its code for
//! what it leaves open: a class's vector has a learnt length, cosines are multiplied by 2. There the first vectors are
//! drawn; here a class's is the mean of its unit embeddings, so that no draw plays a part.

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::baseline::BaselineOptions;
use super::{Described, Head, Method, Reads, Shape, Support, class_means, cross_entropy, prototypes};
use crate::params::Params;
use crate::phase::Phase;

/// The switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BaselinePlusOptions {
    /// What cosines are multiplied by.
    pub scale: f64,
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

impl Default for BaselinePlusOptions {
    fn default() -> Self {
        let BaselineOptions { steps, inner_lr, momentum, dampening, decay } = BaselineOptions::default();
        Self { scale: 2.0, steps, inner_lr, momentum, dampening, decay }
    }
}

impl BaselinePlusOptions {
    fn descent(&self) -> BaselineOptions {
        let Self { scale: _, steps, inner_lr, momentum, dampening, decay } = *self;
        BaselineOptions { steps, inner_lr, momentum, dampening, decay }
    }
}

/// The method.
#[derive(Debug)]
pub struct BaselinePlus {
    options: BaselinePlusOptions,
    params: Params,
}

/// A direction and a length for each class.
struct Cosines {
    directions: Tensor, // [n_way, d]
    lengths: Tensor,    // [n_way, 1]
    scale: f64,
}

impl Described for BaselinePlus {
    type Options = BaselinePlusOptions;
    const NAME: &'static str = "baseline++";
    const READS: Reads = Reads::Embeddings;
    const SOURCE: &'static str = "Chen et al. 2019, section 3.2";

    fn check(options: &Self::Options) -> Result<(), (&'static str, String)> {
        super::positive("scale", options.scale)?;
        options.descent().check()
    }

    fn make(options: Self::Options, _shape: &Shape, _rng: &mut ChaCha8Rng, device: Device) -> Self {
        Self { options, params: Params::new(device) }
    }
}

impl Method for BaselinePlus {
    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    /// The classifier counts as a constant: a backbone that is learnt in episodes gets its slopes from the queries.
    fn head<'a>(&'a self, support: &Support<'_>, _phase: Phase) -> Box<dyn Head + 'a> {
        let (rows, scale) = (support.rows.detach(), self.options.scale);
        let labels = support.labels();
        let means = class_means(&prototypes::unit_rows(&rows), support.n_way, support.k_shot);
        let lengths = means.square().sum_dim_intlist([1i64].as_slice(), true, Kind::Float).sqrt();
        let cosines = |point: &[Tensor]| {
            let [directions, lengths] = [&point[0], &point[1]].map(Tensor::shallow_clone);
            Cosines { directions, lengths, scale }
        };
        let fitted = self.options.descent().descend(rows.size()[0], vec![means, lengths], |point| {
            tch::with_grad(|| {
                let leaves: Vec<Tensor> = point.iter().map(|value| value.detach().set_requires_grad(true)).collect();
                let loss = cross_entropy(&cosines(&leaves).scores(&rows), &labels);
                let slopes = Tensor::run_backward(&[&loss], &leaves.iter().collect::<Vec<_>>(), false, false);
                slopes.iter().map(Tensor::detach).collect()
            })
        });
        Box::new(cosines(&fitted))
    }
}

impl Head for Cosines {
    fn scores(&self, queries: &Tensor) -> Tensor {
        let weights = prototypes::unit_rows(&self.directions) * &self.lengths;
        prototypes::unit_rows(queries).matmul(&weights.tr()) * self.scale
    }
}
