//! Imprinted weights: a class's weights are the mean of its unit embeddings, made a unit vector again.
//!
//! Source: Qi, Brown and Lowe 2018 ("Low-Shot Learning with Imprinted Weights"), eq. 4 and 5; the factor of the cosines is
//! learnt.

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::{Described, Head, Method, Metric, Reads, Shape, Support, class_means, prototypes};
use crate::params::{Params, Role, Slot};
use crate::phase::Phase;

/// The switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ImprintedOptions {
    /// What cosines are multiplied by when training begins.
    pub scale: f64,
}

impl Default for ImprintedOptions {
    fn default() -> Self {
        Self { scale: 10.0 }
    }
}

/// The method.
#[derive(Debug)]
pub struct Imprinted {
    params: Params,
    scale: Slot, // [1]
}

struct Weights<'a> {
    method: &'a Imprinted,
    means: Tensor, // [n_way, d]
}

impl Described for Imprinted {
    type Options = ImprintedOptions;
    const NAME: &'static str = "imprinted";
    const READS: Reads = Reads::Embeddings;
    const SOURCE: &'static str = "Qi et al. 2018, eq. 4 and 5";

    fn check(options: &Self::Options) -> Result<(), (&'static str, String)> {
        super::positive("scale", options.scale)
    }

    fn make(options: Self::Options, _shape: &Shape, _rng: &mut ChaCha8Rng, device: Device) -> Self {
        let mut params = Params::new(device);
        let scale = params.add("scale", &Tensor::from_slice(&[options.scale as f32]), Role::Trainable);
        Self { params, scale }
    }
}

impl Method for Imprinted {
    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    fn represent(&self, image: Option<&Tensor>, _object: Option<&Tensor>, _phase: Phase) -> Tensor {
        prototypes::unit_rows(image.expect("the images were given"))
    }

    fn head<'a>(&'a self, support: &Support<'_>, _phase: Phase) -> Box<dyn Head + 'a> {
        Box::new(Weights { method: self, means: class_means(support.rows, support.n_way, support.k_shot) })
    }
}

impl Head for Weights<'_> {
    fn scores(&self, queries: &Tensor) -> Tensor {
        prototypes::scores(&self.means, queries, Metric::Cosine) * self.method.params.at(self.method.scale)
    }
}
