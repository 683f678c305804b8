//! FEAT: class means look at each other before a query is compared with them.
//!
//! Source: Ye, Hu, Zhan and Sha 2020 ("Few-Shot Learning via Embedding Adaptation with Set-to-Set Functions"), eq. 6 to 9:
//! one head of self-attention, and its contrastive regulariser. Without dropout. As in the authors' code, an image is the
//! largest value of each channel of a Conv-4's map, or the mean of each channel of a larger backbone's.

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::{Described, Head, Method, Metric, Reads, Shape, Support, class_means, cross_entropy, prototypes};
use crate::draw::{normal_tensor, stream_of};
use crate::layers::Linear;
use crate::params::{Params, Role, Slot};
use crate::phase::Phase;

/// The switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FeatOptions {
    /// What squared distances are divided by.
    pub temperature: f64,
    /// The weight of the regulariser; 0 for none.
    pub balance: f64,
}

impl Default for FeatOptions {
    fn default() -> Self {
        Self { temperature: 64.0, balance: 0.1 }
    }
}

/// The method.
#[derive(Debug)]
pub struct Feat {
    options: FeatOptions,
    params: Params,
    takes_largest: bool,
    /// Queries, keys and values of the attention: `[d, d]` each.
    attention: [Slot; 3],
    output: Linear,
    norm: [Slot; 2],
}

struct Adapted {
    means: Tensor, // [n_way, d]
    temperature: f64,
}

impl Described for Feat {
    type Options = FeatOptions;
    const NAME: &'static str = "feat";
    const READS: Reads = Reads::Maps;
    const SOURCE: &'static str = "Ye et al. 2020, eq. 6 to 9";

    fn check(options: &Self::Options) -> Result<(), (&'static str, String)> {
        match options.balance >= 0.0 {
            true => super::positive("temperature", options.temperature),
            false => Err(("balance", format!("{} is below 0", options.balance))),
        }
    }

    fn make(options: Self::Options, shape: &Shape, rng: &mut ChaCha8Rng, device: Device) -> Self {
        let mut params = Params::new(device);
        let d = shape.channels;
        let takes_largest = shape.backbone.kind.is_conv4();
        let mut square = |name: &str| {
            let name = format!("attention.{name}.weight");
            let drawn = normal_tensor(&mut stream_of(rng, &name), &[d, d], (1.0 / d as f64).sqrt());
            params.add(name, &drawn, Role::Trainable)
        };
        let attention = [square("query"), square("key"), square("value")];
        let output = Linear::new(&mut params, "output.", d, d, rng);
        let ones = Tensor::ones([d], (Kind::Float, Device::Cpu));
        let norm = [
            params.add("norm.weight", &ones, Role::Trainable),
            params.add("norm.bias", &ones.zeros_like(), Role::Trainable),
        ];
        Self { options, params, takes_largest, attention, output, norm }
    }
}

impl Feat {
    /// Lets the vectors of a set look at each other: `[m, d]` to `[m, d]`.
    fn adapt(&self, set: &Tensor) -> Tensor {
        let d = set.size()[1];
        let [query, key, value] = self.attention.map(|slot| set.matmul(&self.params.at(slot).tr()));
        let attention = (query.matmul(&key.tr()) / (d as f64).sqrt()).softmax(-1, set.kind());
        let changed = self.output.forward(&self.params, &attention.matmul(&value)) + set;
        let [weight, bias] = self.norm.map(|slot| self.params.at(slot));
        changed.layer_norm([d], Some(weight), Some(bias), 1e-5, true)
    }

    /// Eq. 9: every image of the episode lies close to the mean of its class, after the class's images looked at each
    /// other.
    fn regulariser(&self, support: &Support<'_>, queries: &Tensor, labels: &Tensor) -> Tensor {
        let labels = Tensor::cat(&[support.labels(), labels.to_device(queries.device())], 0);
        let images = Tensor::cat(&[support.rows, queries], 0);
        let centre = |class: i64| {
            let members = labels.eq(class).nonzero().squeeze_dim(1);
            self.adapt(&images.index_select(0, &members)).mean_dim([0i64].as_slice(), false, Kind::Float)
        };
        let centres = Tensor::stack(&(0..support.n_way).map(centre).collect::<Vec<_>>(), 0);
        let scores = prototypes::scores(&centres, &images, Metric::SquaredEuclidean) / self.options.temperature;
        cross_entropy(&scores, &labels)
    }
}

impl Method for Feat {
    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    fn represent(&self, image: Option<&Tensor>, _object: Option<&Tensor>, _phase: Phase) -> Tensor {
        let map = image.expect("the images were given"); // [n, c, h, w]
        match self.takes_largest {
            true => map.amax([2i64, 3].as_slice(), false),
            false => map.mean_dim([2i64, 3].as_slice(), false, map.kind()),
        }
    }

    fn head<'a>(&'a self, support: &Support<'_>, _phase: Phase) -> Box<dyn Head + 'a> {
        let means = self.adapt(&class_means(support.rows, support.n_way, support.k_shot));
        Box::new(Adapted { means, temperature: self.options.temperature })
    }

    fn episode_loss(&self, support: &Support<'_>, queries: &Tensor, labels: &Tensor) -> Tensor {
        let loss = cross_entropy(&self.head(support, Phase::Train).scores(queries), labels);
        match self.options.balance > 0.0 {
            true => loss + self.regulariser(support, queries, labels) * self.options.balance,
            false => loss,
        }
    }
}

impl Head for Adapted {
    fn scores(&self, queries: &Tensor) -> Tensor {
        prototypes::scores(&self.means, queries, Metric::SquaredEuclidean) / self.temperature
    }
}
