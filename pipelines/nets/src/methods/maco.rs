//! MACO: class vectors from all pairs of a class's shots, conditioned on the query, and classified together.
//!
//! Source: Hilliard et al. 2018 (arXiv 1802.04376), "Few-Shot Learning with Metric-Agnostic Conditional Embeddings". Its
//! authors published no code; the widths are this project's, the four stages the paper's: features, relations of all
//! pairs, conditioning on the query, a classifier of one-dimensional convolutions over the classes. With `kernel = 1` the
//! order of the classes plays no part.

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::{Described, Head, Method, Reads, Shape, Support};
use crate::layers::{Conv1d, Linear};
use crate::params::Params;
use crate::phase::Phase;

/// The switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MacoOptions {
    /// Length of the vectors of images and classes.
    pub width: i64,
    /// Classes that a position of the classifier sees: 1 or 3.
    pub kernel: i64,
}

impl Default for MacoOptions {
    fn default() -> Self {
        Self { width: 256, kernel: 1 }
    }
}

/// The method.
#[derive(Debug)]
pub struct Maco {
    params: Params,
    feature: Linear,
    pairs: [Linear; 2],
    class: Linear,
    condition: [Linear; 2],
    classifier: [Conv1d; 2],
}

struct Classes<'a> {
    maco: &'a Maco,
    vectors: Tensor, // [n_way, width]
}

impl Described for Maco {
    type Options = MacoOptions;
    const NAME: &'static str = "maco";
    const READS: Reads = Reads::Embeddings;
    const SOURCE: &'static str = "Hilliard et al. 2018, section 3";

    fn check(options: &Self::Options) -> Result<(), (&'static str, String)> {
        if ![1, 3].contains(&options.kernel) {
            return Err(("kernel", format!("{} is neither 1 nor 3", options.kernel)));
        }
        super::positive("width", options.width as f64)
    }

    fn make(options: Self::Options, shape: &Shape, rng: &mut ChaCha8Rng, device: Device) -> Self {
        let MacoOptions { width, kernel } = options;
        let mut params = Params::new(device);
        let mut linear = |name: &str, input, output| Linear::he(&mut params, name, input, output, rng);
        let feature = linear("feature.", shape.embedding_dim(), width);
        let pairs = [linear("pairs.0.", 2 * width, width), linear("pairs.1.", width, width)];
        let class = linear("class.", width, width);
        let condition = [linear("condition.0.", 2 * width, width), linear("condition.1.", width, width)];
        let hidden = (width / 2).max(1);
        let first = Conv1d::new(&mut params, "classifier.0.", (2 * width, hidden, kernel), rng);
        let classifier = [first, Conv1d::new(&mut params, "classifier.1.", (hidden, 1, kernel), rng)];
        Self { params, feature, pairs, class, condition, classifier }
    }
}

impl Method for Maco {
    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    fn represent(&self, image: Option<&Tensor>, _object: Option<&Tensor>, _phase: Phase) -> Tensor {
        self.feature.forward(&self.params, image.expect("the images were given")).relu()
    }

    fn head<'a>(&'a self, support: &Support<'_>, _phase: Phase) -> Box<dyn Head + 'a> {
        let Support { rows, n_way, k_shot } = *support;
        let shots = rows.reshape([n_way, k_shot, -1]);
        // A single shot is paired with itself; of more, each with every other, in both orders.
        let all = 0..k_shot;
        let wanted = |i: i64, j: i64| k_shot == 1 || i != j;
        let (first, second): (Vec<i64>, Vec<i64>) =
            all.clone().flat_map(|i| all.clone().map(move |j| (i, j))).filter(|(i, j)| wanted(*i, *j)).unzip();
        let take = |places: &[i64]| shots.index_select(1, &Tensor::from_slice(places).to_device(rows.device()));
        let pairs = Tensor::cat(&[take(&first), take(&second)], 2); // [n_way, pairs, 2 width]
        let related = run(&self.params, &self.pairs, &pairs).mean_dim([1i64].as_slice(), false, rows.kind());
        Box::new(Classes { maco: self, vectors: self.class.forward(&self.params, &related).relu() })
    }
}

impl Head for Classes<'_> {
    fn scores(&self, queries: &Tensor) -> Tensor {
        let Maco { params, condition, classifier: [first, second], .. } = self.maco;
        let (q, n_way) = (queries.size()[0], self.vectors.size()[0]);
        let classes = self.vectors.unsqueeze(0).expand([q, n_way, -1], false);
        let queries = queries.unsqueeze(1).expand([q, n_way, -1], false);
        let conditioned = run(params, condition, &Tensor::cat(&[classes, queries], 2)); // [q, n_way, width]
        let mean = conditioned.mean_dim([1i64].as_slice(), true, conditioned.kind()).expand_as(&conditioned);
        let sequence = Tensor::cat(&[conditioned, mean], 2).transpose(1, 2); // [q, 2 width, n_way]
        second.forward(params, &first.forward(params, &sequence).relu()).squeeze_dim(1)
    }
}

/// Two linear layers, a ReLU after each.
fn run(params: &Params, [first, second]: &[Linear; 2], x: &Tensor) -> Tensor {
    second.forward(params, &first.forward(params, x).relu()).relu()
}
