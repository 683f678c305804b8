//! MAML: the whole network learns a support set in a few steps of gradient descent, from a start that is good for that.
//!
//! Source: Finn, Abbeel and Levine 2017, algorithm 2 (https://arxiv.org/abs/1703.03400), and the authors' code for what it
//! leaves open: batch normalisation always by the batch, its scale and shift not adapted, gradients limited to ±10.

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::whole_net::WholeNet;
use super::{Described, Head, Method, Reads, Shape, Support, TrainingDefaults};
use crate::backbone::Backbone;
use crate::params::Params;
use crate::phase::Phase;

/// The switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MamlOptions {
    /// Whether the outer gradient goes through the inner ones: `second` (the paper) or `first`.
    pub order: Order,
    /// Steps on the support set in training.
    pub inner_steps: u64,
    /// Steps on the support set in evaluation.
    pub test_steps: u64,
    /// Rate of these steps.
    pub inner_lr: f64,
    /// Whether scale and shift of batch normalisation are adapted, too.
    pub adapt_norm: bool,
}

/// Which derivatives the outer gradient holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Inner gradients count as constants (FOMAML).
    First,
    /// Gradients of gradients.
    Second,
}

impl Default for MamlOptions {
    fn default() -> Self {
        Self { order: Order::Second, inner_steps: 5, test_steps: 10, inner_lr: 0.01, adapt_norm: false }
    }
}

/// The method.
pub struct Maml {
    options: MamlOptions,
    net: WholeNet,
}

/// A network that has learnt a support set.
pub(super) struct AdaptedNet<'a> {
    pub(super) net: &'a WholeNet,
    pub(super) params: Params,
    /// Whether queries are normalised by their batch.
    pub(super) phase: Phase,
}

impl Described for Maml {
    type Options = MamlOptions;
    const NAME: &'static str = "maml";
    const READS: Reads = Reads::Pixels;
    const BN_EVAL: &'static str = "batch";
    const CLASSES_MAY_SWAP: bool = false;
    const SOURCE: &'static str = "Finn et al. 2017, algorithm 2";
    const TRAINING: TrainingDefaults = TrainingDefaults { clip: 0.0, clip_value: 10.0, tasks: 4 };

    fn check(options: &Self::Options) -> Result<(), (&'static str, String)> {
        super::positive("inner_steps", options.inner_steps as f64)?;
        super::positive("test_steps", options.test_steps as f64)?;
        super::positive("inner_lr", options.inner_lr)
    }

    fn make(options: Self::Options, shape: &Shape, rng: &mut ChaCha8Rng, device: Device) -> Self {
        Self { options, net: WholeNet::new(shape, rng, device) }
    }
}

impl Method for Maml {
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
        let MamlOptions { order, inner_steps, test_steps, inner_lr, adapt_norm } = self.options;
        let places = self.net.adapted(adapt_norm, "-");
        let steps = if phase == Phase::Train { inner_steps } else { test_steps };
        let params = descend(&self.net, support, &places, steps, (phase, order), &|_, slope| slope * inner_lr);
        Box::new(AdaptedNet { net: &self.net, params, phase: Phase::Train })
    }
}

impl Head for AdaptedNet<'_> {
    fn scores(&self, queries: &Tensor) -> Tensor {
        self.net.logits(&self.params, queries, self.phase)
    }
}

/// Takes steps of gradient descent on a support set. `places`: the tensors that change; `scaled(i, slope)`: what is taken
/// off the `i`-th of them. With `Phase::Train` the result stays connected with the net's own tensors.
pub(super) fn descend(
    net: &WholeNet,
    support: &Support<'_>,
    places: &[usize],
    steps: u64,
    (phase, order): (Phase, Order),
    scaled: &dyn Fn(usize, &Tensor) -> Tensor,
) -> Params {
    let labels = support.labels();
    let mut weights: Vec<Tensor> = net.params().trainable().into_iter().map(|(_, tensor)| tensor).collect();
    let apart = |tensor: &Tensor| tensor.detach().set_requires_grad(true);
    if phase == Phase::Evaluate {
        places.iter().for_each(|place| weights[*place] = apart(&weights[*place]));
    }
    let keeps_graph = phase == Phase::Train && order == Order::Second;
    tch::with_grad(|| {
        for _ in 0..steps {
            let loss = net.loss(&net.params().with_trainable(&weights), support.rows, &labels);
            let targets: Vec<&Tensor> = places.iter().map(|place| &weights[*place]).collect();
            let slopes = Tensor::run_backward(&[&loss], &targets, keeps_graph, keeps_graph);
            for (index, (place, slope)) in places.iter().zip(&slopes).enumerate() {
                let slope = if keeps_graph { slope.shallow_clone() } else { slope.detach() };
                let moved = &weights[*place] - scaled(index, &slope);
                weights[*place] = if phase == Phase::Train { moved } else { apart(&moved) };
            }
        }
    });
    net.params().with_trainable(&weights)
}
