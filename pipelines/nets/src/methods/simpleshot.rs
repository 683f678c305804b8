//! SimpleShot: the nearest class mean of embeddings that are centred on the base classes and scaled to length 1.
//!
//! Source: Wang, Chao, Weinberger and van der Maaten 2019, section 3 (CL2N, L2N, UN). Nothing is learnt.

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::{Described, Head, Method, Metric, Reads, Shape, Support, class_means, prototypes};
use crate::params::{Params, Role, Slot};
use crate::phase::Phase;

/// The switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SimpleShotOptions {
    /// What is done to embeddings.
    pub transform: Transform,
    /// How close a query is to a mean.
    pub metric: Metric,
}

impl Default for SimpleShotOptions {
    fn default() -> Self {
        Self { transform: Transform::Cl2n, metric: Metric::SquaredEuclidean }
    }
}

/// What is done to embeddings before their means are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Transform {
    /// The base classes' mean is taken off, then the length is made 1.
    Cl2n,
    /// The length is made 1.
    L2n,
    /// Nothing.
    Un,
}

/// The method.
#[derive(Debug)]
pub struct SimpleShot {
    options: SimpleShotOptions,
    params: Params,
    base_mean: Slot,
}

struct Means {
    means: Tensor, // [n_way, d]
    metric: Metric,
}

impl Described for SimpleShot {
    type Options = SimpleShotOptions;
    const NAME: &'static str = "simpleshot";
    const READS: Reads = Reads::Embeddings;
    const SOURCE: &'static str = "Wang et al. 2019, section 3";

    fn make(options: Self::Options, shape: &Shape, _rng: &mut ChaCha8Rng, device: Device) -> Self {
        let mut params = Params::new(device);
        let zeros = Tensor::zeros([shape.embedding_dim()], (Kind::Float, Device::Cpu));
        let base_mean = params.add("base_mean", &zeros, Role::Buffer);
        Self { options, params, base_mean }
    }
}

impl Method for SimpleShot {
    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    fn represent(&self, image: Option<&Tensor>, _object: Option<&Tensor>, _phase: Phase) -> Tensor {
        let embedding = image.expect("the images were given");
        match self.options.transform {
            Transform::Cl2n => prototypes::cl2n(embedding, self.params.at(self.base_mean)),
            Transform::L2n => prototypes::unit_rows(embedding),
            Transform::Un => embedding.shallow_clone(),
        }
    }

    fn head<'a>(&'a self, support: &Support<'_>, _phase: Phase) -> Box<dyn Head + 'a> {
        let means = class_means(support.rows, support.n_way, support.k_shot);
        Box::new(Means { means, metric: self.options.metric })
    }

    fn base_statistic(&self, rows: &Tensor) -> Option<Tensor> {
        Some(rows.shallow_clone())
    }

    fn set_base_means(&mut self, [mean, _]: [Option<&Tensor>; 2]) {
        let _guard = tch::no_grad_guard();
        self.params.at(self.base_mean).shallow_clone().copy_(mean.expect("the images' mean was given"));
    }
}

impl Head for Means {
    fn scores(&self, queries: &Tensor) -> Tensor {
        prototypes::scores(&self.means, queries, self.metric)
    }
}
