//! Prototypical Networks: a class is the mean of its support embeddings, a query goes to the nearest.
//!
//! Source: Snell, Swersky and Zemel 2017, eq. 1 and 2. Nothing is learnt but the backbone: with a frozen one this is the
//! nearest class mean.

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::{Described, Head, Method, Metric, Reads, Shape, Support, class_means, prototypes};
use crate::params::Params;
use crate::phase::Phase;

/// The switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PrototypicalOptions {
    /// How close a query is to a mean.
    pub metric: Metric,
    /// What distances are divided by before the softmax; 1 in the paper.
    pub temperature: f64,
}

impl Default for PrototypicalOptions {
    fn default() -> Self {
        Self { metric: Metric::SquaredEuclidean, temperature: 1.0 }
    }
}

/// The method.
#[derive(Debug)]
pub struct Prototypical {
    options: PrototypicalOptions,
    params: Params,
}

struct Means {
    means: Tensor, // [n_way, d]
    options: PrototypicalOptions,
}

impl Described for Prototypical {
    type Options = PrototypicalOptions;
    const NAME: &'static str = "prototypical";
    const READS: Reads = Reads::Embeddings;
    const SOURCE: &'static str = "Snell et al. 2017, eq. 1 and 2";

    fn check(options: &Self::Options) -> Result<(), (&'static str, String)> {
        super::positive("temperature", options.temperature)
    }

    fn make(options: Self::Options, _shape: &Shape, _rng: &mut ChaCha8Rng, device: Device) -> Self {
        Self { options, params: Params::new(device) }
    }
}

impl Method for Prototypical {
    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    fn head<'a>(&'a self, support: &Support<'_>, _phase: Phase) -> Box<dyn Head + 'a> {
        let means = class_means(support.rows, support.n_way, support.k_shot);
        Box::new(Means { means, options: self.options.clone() })
    }
}

impl Head for Means {
    fn scores(&self, queries: &Tensor) -> Tensor {
        prototypes::scores(&self.means, queries, self.options.metric) / self.options.temperature
    }
}
