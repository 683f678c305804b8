//! Meta-Learner LSTM: the network's weights are the cell state of an LSTM that reads losses and gradients.
//!
//! Source: Ravi and Larochelle 2017, eq. 2 to 5 and section 3.3 ("Optimization as a Model for Few-Shot Learning"), and the
//! authors' code for what it leaves open. Every weight is a coordinate of its own, all coordinates share the LSTM's
//! weights. Gradients and losses that it reads count as constants. Running statistics of batch normalisation begin anew
//! in each episode.

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::maml::AdaptedNet;
use super::whole_net::WholeNet;
use super::{Described, Head, Method, Reads, Shape, Support, TrainingDefaults};
use crate::backbone::Backbone;
use crate::draw::{stream_of, uniform_tensor};
use crate::layers::LstmCell;
use crate::params::{Params, Role, Slot};
use crate::phase::Phase;

/// What the names of the meta-learner's tensors begin with.
const OWN: &str = "meta.";
/// Numbers smaller than e^-10 are handed over in a linear scale (section 3.3).
const PREPROCESS: f64 = 10.0;
/// All first weights of the meta-learner lie within ± this.
const INIT: f64 = 0.01;

/// The switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetaLstmOptions {
    /// Passes over the support set when there is one shot.
    pub one_shot_steps: u64,
    /// Passes when there are more.
    pub steps: u64,
    /// Hidden units of the first layer.
    pub hidden: i64,
    /// The share of a pass over the support set in the running statistics that queries are normalised by.
    pub bn_momentum: f64,
}

impl Default for MetaLstmOptions {
    fn default() -> Self {
        Self { one_shot_steps: 12, steps: 8, hidden: 20, bn_momentum: 0.9 }
    }
}

/// The method.
pub struct MetaLstm {
    options: MetaLstmOptions,
    net: WholeNet,
    places: Vec<usize>,
    reader: LstmCell,
    forget: Gate,
    input: Gate,
}

/// A gate of the second layer: a linear function of the first layer's output, the weight and the gate's last value.
struct Gate {
    weight: Slot, // [1, hidden + 2]
    bias: Slot,   // [1]
}

impl Gate {
    /// `bias`: the middle of the range, 1 wide, in which the bias starts.
    fn new(params: &mut Params, name: &str, hidden: i64, bias: f64, rng: &ChaCha8Rng) -> Self {
        let rng = &mut stream_of(rng, &format!("{OWN}{name}"));
        let weight = uniform_tensor(rng, &[1, hidden + 2], INIT);
        let bias = uniform_tensor(rng, &[1], 0.5) + bias;
        Self {
            weight: params.add(format!("{OWN}{name}.weight"), &weight, Role::Trainable),
            bias: params.add(format!("{OWN}{name}.bias"), &bias, Role::Trainable),
        }
    }

    /// `[p, 1]`, before the sigmoid.
    fn forward(&self, params: &Params, read: &Tensor, theta: &Tensor, last: &Tensor) -> Tensor {
        Tensor::cat(&[read, theta, last], 1).linear(params.at(self.weight), Some(params.at(self.bias)))
    }
}

impl Described for MetaLstm {
    type Options = MetaLstmOptions;
    const NAME: &'static str = "meta-lstm";
    const READS: Reads = Reads::Pixels;
    const BN_EVAL: &'static str = "support";
    const CLASSES_MAY_SWAP: bool = false;
    const SOURCE: &'static str = "Ravi and Larochelle 2017, eq. 2 to 5";
    const TRAINING: TrainingDefaults = TrainingDefaults { clip: 0.25, clip_value: 0.0, tasks: 1 };

    fn check(options: &Self::Options) -> Result<(), (&'static str, String)> {
        super::positive("one_shot_steps", options.one_shot_steps as f64)?;
        super::positive("steps", options.steps as f64)?;
        super::positive("hidden", options.hidden as f64)?;
        match (0.0..=1.0).contains(&options.bn_momentum) {
            true => Ok(()),
            false => Err(("bn_momentum", format!("{} is no share of 1", options.bn_momentum))),
        }
    }

    fn make(options: Self::Options, shape: &Shape, rng: &mut ChaCha8Rng, device: Device) -> Self {
        let mut net = WholeNet::new(shape, rng, device);
        let params = net.params_mut();
        let hidden = options.hidden;
        let reader = LstmCell::within(params, &format!("{OWN}reader."), 4, hidden, INIT, rng);
        let forget = Gate::new(params, "forget", hidden, 4.5, rng); // σ(4.5) = .99: weights stay
        let input = Gate::new(params, "input", hidden, -4.5, rng); // σ(-4.5) = .01: small steps
        let places = net.adapted(true, OWN);
        Self { options, net, places, reader, forget, input }
    }
}

impl Method for MetaLstm {
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
        let steps = if support.k_shot == 1 { self.options.one_shot_steps } else { self.options.steps };
        let own = self.params().with_fresh_statistics(self.options.bn_momentum);
        let params = self.unroll(&own, support, steps);
        Box::new(AdaptedNet { net: &self.net, params, phase })
    }
}

impl MetaLstm {
    /// Runs the meta-learner over so many passes; returns the net's tensors with the last weights.
    fn unroll(&self, own: &Params, support: &Support<'_>, steps: u64) -> Params {
        let labels = support.labels();
        let images = support.rows.size()[0] as f64;
        let first: Vec<Tensor> = own.trainable().into_iter().map(|(_, tensor)| tensor).collect();
        let starts: Vec<Tensor> = self.places.iter().map(|place| first[*place].reshape([-1, 1])).collect();
        let mut theta = Tensor::cat(&starts, 0); // [p, 1]
        let zeros = theta.zeros_like().detach();
        let (mut last_forget, mut last_input) = (zeros.shallow_clone(), zeros.shallow_clone());
        let blank = Tensor::zeros([theta.size()[0], self.options.hidden], (Kind::Float, theta.device()));
        let (mut hidden, mut cells) = (blank.shallow_clone(), blank);
        for _ in 0..steps {
            let (loss, slope) = self.loss_and_slope(own, &first, &theta, support.rows, &labels);
            let slope = slope / images; // the mean's gradient once more over the batch, as the authors' code has it
            let shared = preprocess(&loss.reshape([1, 1])).expand([theta.size()[0], 2], false);
            let read = Tensor::cat(&[shared, preprocess(&slope)], 1); // [p, 4]
            (hidden, cells) = self.reader.forward(own, &read, &hidden, &cells);
            let forget = self.forget.forward(own, &hidden, &theta, &last_forget);
            let input = self.input.forward(own, &hidden, &theta, &last_input);
            theta = forget.sigmoid() * &theta - input.sigmoid() * &slope;
            (last_forget, last_input) = (forget, input);
        }
        own.with_trainable(&self.placed(&first, &theta))
    }

    /// The support set's loss, and its gradient by each coordinate, `[p, 1]`; both cut off from the graph.
    fn loss_and_slope(
        &self,
        own: &Params,
        first: &[Tensor],
        theta: &Tensor,
        x: &Tensor,
        labels: &Tensor,
    ) -> (Tensor, Tensor) {
        tch::with_grad(|| {
            let theta = theta.detach().set_requires_grad(true);
            let loss = self.net.loss(&own.with_trainable(&self.placed(first, &theta)), x, labels);
            let slopes = Tensor::run_backward(&[&loss], &[&theta], false, false);
            (loss.detach(), slopes[0].detach())
        })
    }

    /// The tensors of the net with the coordinates `theta: [p, 1]` in their places.
    fn placed(&self, first: &[Tensor], theta: &Tensor) -> Vec<Tensor> {
        let mut tensors: Vec<Tensor> = first.iter().map(Tensor::shallow_clone).collect();
        let mut start = 0;
        for place in &self.places {
            let size = first[*place].size();
            let count = first[*place].numel() as i64;
            tensors[*place] = theta.narrow(0, start, count).reshape(size);
            start += count;
        }
        tensors
    }
}

/// Section 3.3: `[n, 1]` to `[n, 2]`, the logarithm's size and the sign, or -1 and the number enlarged where it is tiny.
fn preprocess(x: &Tensor) -> Tensor {
    let is_large = x.abs().ge((-PREPROCESS).exp());
    let large = Tensor::cat(&[x.abs().clamp_min(1e-30).log() / PREPROCESS, x.sign()], 1);
    let small = Tensor::cat(&[x.full_like(-1.0), x * PREPROCESS.exp()], 1);
    large.where_self(&is_large, &small)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_by_size_and_sign_and_tiny_ones_enlarged() {
        let x = Tensor::from_slice(&[1.0f32, -0.1, 1e-6]).reshape([3, 1]);
        let tiny = (10.0f64.exp() * 1e-6) as f32;
        let expected = Tensor::from_slice(&[0.0f32, 1.0, 0.1f32.ln() / 10.0, -1.0, -1.0, tiny]).reshape([3, 2]);
        crate::rounding::assert_near(&preprocess(&x), &expected, 4, 1.0);
    }
}
