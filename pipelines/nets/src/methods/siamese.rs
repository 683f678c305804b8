//! Siamese networks: how likely two images are of one class, from the weighted differences of their embeddings.
//!
//! Source: Koch, Zemel and Salakhutdinov 2015 ("Siamese Neural Networks for One-shot Image Recognition"), section 3.1: a
//! sigmoid of weighted absolute differences, learnt by the cross-entropy of pairs. With several shots, a class's score is
//! the mean over its images.

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Reduction, Tensor};

use super::{Described, Head, Method, Reads, Shape, Support};
use crate::layers::Linear;
use crate::params::Params;
use crate::phase::Phase;

/// The switches: there are none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SiameseOptions {}

/// The method.
#[derive(Debug)]
pub struct Siamese {
    params: Params,
    similarity: Linear,
}

struct Pairs<'a> {
    method: &'a Siamese,
    support: Tensor, // [n_way * k_shot, d]
    n_way: i64,
}

impl Described for Siamese {
    type Options = SiameseOptions;
    const NAME: &'static str = "siamese";
    const READS: Reads = Reads::Embeddings;
    const SOURCE: &'static str = "Koch et al. 2015, section 3.1";

    fn make(_options: Self::Options, shape: &Shape, rng: &mut ChaCha8Rng, device: Device) -> Self {
        let mut params = Params::new(device);
        let similarity = Linear::new(&mut params, "similarity.", shape.embedding_dim(), 1, rng);
        Self { params, similarity }
    }
}

impl Siamese {
    /// The likeness of each query to each support image, before the sigmoid: `[q, n]`.
    fn pairs(&self, queries: &Tensor, support: &Tensor) -> Tensor {
        let apart = (queries.unsqueeze(1) - support.unsqueeze(0)).abs(); // [q, n, d]
        self.similarity.forward(&self.params, &apart).squeeze_dim(2)
    }
}

impl Method for Siamese {
    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    fn head<'a>(&'a self, support: &Support<'_>, _phase: Phase) -> Box<dyn Head + 'a> {
        Box::new(Pairs { method: self, support: support.rows.shallow_clone(), n_way: support.n_way })
    }

    fn episode_loss(&self, support: &Support<'_>, queries: &Tensor, labels: &Tensor) -> Tensor {
        let pairs = self.pairs(queries, support.rows);
        let labels = labels.to_device(pairs.device());
        let same = labels.unsqueeze(1).eq_tensor(&support.labels().unsqueeze(0)).to_kind(pairs.kind());
        pairs.binary_cross_entropy_with_logits(&same, None::<&Tensor>, None::<&Tensor>, Reduction::Mean)
    }
}

impl Head for Pairs<'_> {
    fn scores(&self, queries: &Tensor) -> Tensor {
        let pairs = self.method.pairs(queries, &self.support);
        pairs.reshape([queries.size()[0], self.n_way, -1]).mean_dim([2i64].as_slice(), false, pairs.kind())
    }
}
