//! Meta-SGD: MAML in one step, with a learnt rate for every weight.
//!
//! Source: Li, Zhou, Chen and Li 2017, algorithm 1 (https://arxiv.org/abs/1707.09835), the paper's reference 9; rates start
//! at random between .005 and .1.

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::maml::{AdaptedNet, Order, descend};
use super::whole_net::WholeNet;
use super::{Described, Head, Method, Reads, Shape, Support, TrainingDefaults};
use crate::backbone::Backbone;
use crate::draw::{stream_of, uniform_tensor};
use crate::params::{Params, Role, Slot};
use crate::phase::Phase;

/// What the names of the learnt rates begin with.
const RATE: &str = "rate.";

/// The switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetaSgdOptions {
    /// Whether the outer gradient goes through the inner one.
    pub order: Order,
    /// Steps on the support set; 1 in the paper.
    pub inner_steps: u64,
    /// Whether scale and shift of batch normalisation are adapted, too.
    pub adapt_norm: bool,
}

impl Default for MetaSgdOptions {
    fn default() -> Self {
        Self { order: Order::Second, inner_steps: 1, adapt_norm: false }
    }
}

/// The method.
pub struct MetaSgd {
    options: MetaSgdOptions,
    net: WholeNet,
    places: Vec<usize>,
    rates: Vec<Slot>,
}

impl Described for MetaSgd {
    type Options = MetaSgdOptions;
    const NAME: &'static str = "meta-sgd";
    const READS: Reads = Reads::Pixels;
    const BN_EVAL: &'static str = "batch";
    const CLASSES_MAY_SWAP: bool = false;
    const SOURCE: &'static str = "Li et al. 2017, algorithm 1";
    const TRAINING: TrainingDefaults = TrainingDefaults { clip: 0.0, clip_value: 10.0, tasks: 4 };

    fn check(options: &Self::Options) -> Result<(), (&'static str, String)> {
        super::positive("inner_steps", options.inner_steps as f64)
    }

    fn make(options: Self::Options, shape: &Shape, rng: &mut ChaCha8Rng, device: Device) -> Self {
        let mut net = WholeNet::new(shape, rng, device);
        let places = net.adapted(options.adapt_norm, RATE);
        let weights = net.params().trainable();
        let mut rate = |place: &usize| {
            let (name, weight) = &weights[*place];
            let rate = format!("{RATE}{name}");
            // U(.005, .1): the middle and half the width
            let drawn = uniform_tensor(&mut stream_of(rng, &rate), &weight.size(), 0.0475) + 0.0525;
            net.params_mut().add(rate, &drawn, Role::Trainable)
        };
        let rates = places.iter().map(&mut rate).collect();
        Self { options, net, places, rates }
    }
}

impl Method for MetaSgd {
    fn params(&self) -> &Params {
        self.net.params()
    }

    fn params_mut(&mut self) -> &mut Params {
        self.net.params_mut()
    }

    fn represent(&self, image: Option<&Tensor>, _object: Option<&Tensor>, _phase: Phase) -> Tensor {
        self.net.normalise(image)
    }

    fn own_backbone(&self) -> Option<&dyn Backbone> {
        Some(self.net.backbone())
    }

    fn head<'a>(&'a self, support: &Support<'_>, phase: Phase) -> Box<dyn Head + 'a> {
        let MetaSgdOptions { order, inner_steps, adapt_norm: _ } = self.options;
        let scaled = |index: usize, slope: &Tensor| slope * self.params().at(self.rates[index]);
        let params = descend(&self.net, support, &self.places, inner_steps, (phase, order), &scaled);
        Box::new(AdaptedNet { net: &self.net, params, phase: Phase::Train })
    }
}
