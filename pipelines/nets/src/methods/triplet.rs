//! Triplet loss: a linear map of embeddings to unit vectors in which images of one class lie closer than others.
//!
//! Source: Schroff, Kalenichenko and Philbin 2015 ("FaceNet"), eq. 2 and 3. Anchors are an episode's queries; every triplet
//! with its support images counts, where the paper picks hard ones out of much larger batches. A class is the mean of its
//! unit vectors.

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::{Described, Head, Method, Metric, Reads, Shape, Support, class_means, prototypes};
use crate::layers::Linear;
use crate::params::Params;
use crate::phase::Phase;

/// The switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TripletOptions {
    /// Length of the vectors.
    pub width: i64,
    /// How much closer, in squared distance, the images of one class shall be.
    pub margin: f64,
}

impl Default for TripletOptions {
    fn default() -> Self {
        Self { width: 128, margin: 0.2 }
    }
}

/// The method.
#[derive(Debug)]
pub struct Triplet {
    options: TripletOptions,
    params: Params,
    embed: Linear,
}

struct Means(Tensor); // [n_way, width]

impl Described for Triplet {
    type Options = TripletOptions;
    const NAME: &'static str = "triplet";
    const READS: Reads = Reads::Embeddings;
    const SOURCE: &'static str = "Schroff et al. 2015, eq. 2 and 3";

    fn check(options: &Self::Options) -> Result<(), (&'static str, String)> {
        super::positive("width", options.width as f64)?;
        super::positive("margin", options.margin)
    }

    fn make(options: Self::Options, shape: &Shape, rng: &mut ChaCha8Rng, device: Device) -> Self {
        let mut params = Params::new(device);
        let embed = Linear::new(&mut params, "embed.", shape.embedding_dim(), options.width, rng);
        Self { options, params, embed }
    }
}

impl Method for Triplet {
    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    fn represent(&self, image: Option<&Tensor>, _object: Option<&Tensor>, _phase: Phase) -> Tensor {
        prototypes::unit_rows(&self.embed.forward(&self.params, image.expect("the images were given")))
    }

    fn head<'a>(&'a self, support: &Support<'_>, _phase: Phase) -> Box<dyn Head + 'a> {
        Box::new(Means(class_means(support.rows, support.n_way, support.k_shot)))
    }

    fn episode_loss(&self, support: &Support<'_>, queries: &Tensor, labels: &Tensor) -> Tensor {
        let distances = -prototypes::scores(support.rows, queries, Metric::SquaredEuclidean); // [q, n]
        let labels = labels.to_device(distances.device());
        let same = labels.unsqueeze(1).eq_tensor(&support.labels().unsqueeze(0)); // [q, n]
        let counts = (same.unsqueeze(2) * same.logical_not().unsqueeze(1)).to_kind(Kind::Float); // [q, n, n]
        let excess = distances.unsqueeze(2) - distances.unsqueeze(1) + self.options.margin;
        (excess.relu() * &counts).sum(Kind::Float) / counts.sum(Kind::Float)
    }
}

impl Head for Means {
    fn scores(&self, queries: &Tensor) -> Tensor {
        prototypes::scores(&self.0, queries, Metric::SquaredEuclidean)
    }
}
