//! The layers that several nets share: convolution, normalisation by batch or layer, linear, and the block of few-shot nets.
//!
//! A layer holds slots; the tensors come with each call (see `params.rs`). Weights are drawn when a layer is made, from
//! a stream of the layer's own name, so that another layer before it changes nothing. Initialisation: convolutions N(0, 2 / (k·k·out)), biases 0, normalisation 1 and 0
//! (CloserLook, Relation Net); linear layers U(±1/√in), weight and bias (PyTorch's default).

use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use crate::draw::{normal_tensor, stream_of, uniform_tensor};
use crate::params::{Params, Role, Slot};
use crate::phase::Phase;

/// What a convolution looks like; square kernels only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvShape {
    pub(crate) input: i64,
    pub(crate) output: i64,
    pub(crate) kernel: i64,
    pub(crate) stride: i64,
    pub(crate) groups: i64,
    pub(crate) bias: bool,
}

/// A 2-D convolution.
#[derive(Clone, Debug)]
pub(crate) struct Conv {
    weight: Slot,
    bias: Option<Slot>,
    shape: ConvShape,
}

impl Conv {
    pub(crate) fn new(params: &mut Params, name: &str, shape: ConvShape, rng: &ChaCha8Rng) -> Self {
        let fan_out = shape.kernel * shape.kernel * shape.output / shape.groups;
        let size = [shape.output, shape.input / shape.groups, shape.kernel, shape.kernel];
        let drawn = normal_tensor(&mut stream_of(rng, name), &size, (2.0 / fan_out as f64).sqrt());
        let weight = params.add(format!("{name}.weight"), &drawn, Role::Trainable);
        let zeros = Tensor::zeros([shape.output], (Kind::Float, tch::Device::Cpu));
        let bias = shape.bias.then(|| params.add(format!("{name}.bias"), &zeros, Role::Trainable));
        Conv { weight, bias, shape }
    }

    /// `x: [n, c, h, w]` to what the net computes in.
    pub(crate) fn forward(&self, params: &Params, x: &Tensor, padding: i64) -> Tensor {
        let bias = self.bias.map(|slot| params.at(slot));
        self.run(params.compute_kind(), x, params.at(self.weight), bias, padding)
    }

    /// Computes in `kind`, and returns that.
    fn run(&self, kind: Kind, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, padding: i64) -> Tensor {
        let ConvShape { stride, groups, .. } = self.shape;
        let (x, weight, bias) = (x.to_kind(kind), weight.to_kind(kind), bias.map(|bias| bias.to_kind(kind)));
        x.conv2d(&weight, bias.as_ref(), [stride, stride], [padding, padding], [1, 1], groups)
    }
}

/// Batch normalisation over the channels of a map.
#[derive(Clone, Debug)]
pub(crate) struct BatchNorm {
    weight: Slot,
    bias: Slot,
    mean: Slot,
    variance: Slot,
    momentum: f64,
    eps: f64,
}

impl BatchNorm {
    /// `momentum` is the share of the new batch in the running statistics, as in PyTorch.
    pub(crate) fn new(params: &mut Params, name: &str, channels: i64, momentum: f64, eps: f64) -> Self {
        let zeros = Tensor::zeros([channels], (Kind::Float, tch::Device::Cpu));
        let ones = zeros.ones_like();
        BatchNorm {
            weight: params.add(format!("{name}.weight"), &ones, Role::Trainable),
            bias: params.add(format!("{name}.bias"), &zeros, Role::Trainable),
            mean: params.add(format!("{name}.running_mean"), &zeros, Role::Buffer),
            variance: params.add(format!("{name}.running_var"), &ones, Role::Buffer),
            momentum,
            eps,
        }
    }

    /// The same scale and shift with running statistics of their own.
    fn beside(&self, params: &mut Params, name: &str) -> Self {
        let mut fresh = |statistic: &str, slot: Slot, fill: f64| {
            let tensor = params.at(slot).full_like(fill);
            params.add(format!("{name}.{statistic}"), &tensor, Role::Buffer)
        };
        let (mean, variance) = (fresh("running_mean", self.mean, 0.0), fresh("running_var", self.variance, 1.0));
        Self { mean, variance, ..self.clone() }
    }

    fn by_batch(&self, params: &Params, x: &Tensor) -> Tensor {
        x.batch_norm(
            Some(params.at(self.weight)),
            Some(params.at(self.bias)),
            Some(params.at(self.mean)),
            Some(params.at(self.variance)),
            true,
            params.momentum().unwrap_or(self.momentum),
            self.eps,
            true,
        )
    }
}

/// A convolution and the batch normalisation behind it.
#[derive(Debug)]
pub(crate) struct ConvNorm {
    conv: Conv,
    norm: BatchNorm,
}

impl ConvNorm {
    pub(crate) fn new(conv: Conv, norm: BatchNorm) -> Self {
        ConvNorm { conv, norm }
    }

    /// `Phase::Train` normalises by the batch and updates the running statistics. Else the running statistics are folded
    /// into the convolution, which spares one pass over the map; gradients flow in both cases.
    pub(crate) fn forward(&self, params: &Params, x: &Tensor, padding: i64, phase: Phase) -> Tensor {
        let kind = params.compute_kind();
        self.normed(params, phase, |weight, bias| self.conv.run(kind, x, weight, bias, padding))
    }

    /// The same for each pair of one of `a: [m, c, h, w]` and one of `b: [n, c, h, w]`, whose channels lie side by side:
    /// `[n·m, out, h, w]`, for each of `b` all of `a`. No pair is laid out, since the convolution of a pair is the sum of
    /// those of its halves: `m + n` convolutions in place of `2·m·n`.
    fn forward_pairs(&self, params: &Params, (a, b): (&Tensor, &Tensor), padding: i64, phase: Phase) -> Tensor {
        let kind = params.compute_kind();
        self.normed(params, phase, |weight, bias| {
            let halves = weight.chunk(2, 1);
            let of_a = self.conv.run(kind, a, &halves[0], bias, padding).unsqueeze(0);
            let of_b = self.conv.run(kind, b, &halves[1], None, padding).unsqueeze(1);
            (of_a + of_b).flatten(0, 1)
        })
    }

    fn normed(&self, params: &Params, phase: Phase, run: impl FnOnce(&Tensor, Option<&Tensor>) -> Tensor) -> Tensor {
        let weight = params.at(self.conv.weight);
        let bias = self.conv.bias.map(|slot| params.at(slot));
        if phase == Phase::Train {
            return self.norm.by_batch(params, &run(weight, bias));
        }
        let scale = params.at(self.norm.weight) / (params.at(self.norm.variance) + self.norm.eps).sqrt();
        let mean = params.at(self.norm.mean);
        let centre = bias.map_or_else(|| -mean, |bias| bias - mean);
        let folded_bias = centre * &scale + params.at(self.norm.bias);
        run(&(weight * scale.reshape([-1, 1, 1, 1])), Some(&folded_bias))
    }
}

/// The block of few-shot nets: 3x3 convolution with bias, batch normalisation, ReLU, optional 2x2 max-pool.
#[derive(Debug)]
pub(crate) struct ConvBlock {
    body: ConvNorm,
}

impl ConvBlock {
    pub(crate) fn new(params: &mut Params, name: &str, (input, output): (i64, i64), rng: &ChaCha8Rng) -> Self {
        let shape = ConvShape { input, output, kernel: 3, stride: 1, groups: 1, bias: true };
        let conv = Conv::new(params, &format!("{name}.conv"), shape, rng);
        let norm = BatchNorm::new(params, &format!("{name}.bn"), output, 0.1, 1e-5);
        ConvBlock { body: ConvNorm::new(conv, norm) }
    }

    /// The same weights for maps of another source, whose running statistics are kept apart. `name`: of the block whose
    /// weights they are; `source`: of the maps.
    pub(crate) fn beside(&self, params: &mut Params, name: &str, source: &str) -> Self {
        let ConvNorm { conv, norm } = &self.body;
        let norm = norm.beside(params, &format!("{name}.bn.{source}"));
        ConvBlock { body: ConvNorm::new(conv.clone(), norm) }
    }

    /// `layout`: padding, and whether to pool. Pools before the ReLU: the same values, with a quarter of its work.
    pub(crate) fn forward(&self, params: &Params, x: &Tensor, layout: (i64, bool), phase: Phase) -> Tensor {
        pooled(self.body.forward(params, x, layout.0, phase), layout.1)
    }

    /// The same for each pair of one of `a: [m, c, h, w]` and one of `b: [n, c, h, w]`, whose channels lie side by side:
    /// `[n·m, out, h', w']`, for each of `b` all of `a`.
    pub(crate) fn forward_pairs(
        &self,
        params: &Params,
        pairs: (&Tensor, &Tensor),
        layout: (i64, bool),
        phase: Phase,
    ) -> Tensor {
        pooled(self.body.forward_pairs(params, pairs, layout.0, phase), layout.1)
    }
}

fn pooled(map: Tensor, pool: bool) -> Tensor {
    let mut map = if pool { map.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false) } else { map };
    map.relu_()
}

/// A linear layer.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Slot,
    bias: Slot,
}

impl Linear {
    /// `name` is the prefix with its dot, or empty.
    pub(crate) fn new(params: &mut Params, name: &str, input: i64, output: i64, rng: &ChaCha8Rng) -> Self {
        Self::within(params, name, (input, output), 1.0 / (input as f64).sqrt(), rng)
    }

    /// For layers behind a ReLU: weights U(±√(6 / input)), which keeps the spread of what goes through (He et al. 2015),
    /// biases 0.
    pub(crate) fn he(params: &mut Params, name: &str, input: i64, output: i64, rng: &ChaCha8Rng) -> Self {
        let linear = Self::within(params, name, (input, output), (6.0 / input as f64).sqrt(), rng);
        let _guard = tch::no_grad_guard();
        let _ = params.at(linear.bias).shallow_clone().zero_();
        linear
    }

    fn within(params: &mut Params, name: &str, (input, output): (i64, i64), bound: f64, rng: &ChaCha8Rng) -> Self {
        let rng = &mut stream_of(rng, name);
        let weight = uniform_tensor(rng, &[output, input], bound);
        let bias = uniform_tensor(rng, &[output], bound);
        Linear {
            weight: params.add(format!("{name}weight"), &weight, Role::Trainable),
            bias: params.add(format!("{name}bias"), &bias, Role::Trainable),
        }
    }

    /// Sets weights and bias to zero.
    pub(crate) fn silence(&self, params: &Params) {
        let _guard = tch::no_grad_guard();
        for slot in [self.weight, self.bias] {
            let _ = params.at(slot).shallow_clone().zero_();
        }
    }

    /// The weights, `[output, input]`.
    pub(crate) fn weight(&self, params: &Params) -> Tensor {
        params.at(self.weight).detach()
    }

    /// `[…, input]` to `[…, output]`, in the element type of `x`.
    pub(crate) fn forward(&self, params: &Params, x: &Tensor) -> Tensor {
        let [weight, bias] = [self.weight, self.bias].map(|slot| params.at(slot).to_kind(x.kind()));
        x.linear(&weight, Some(&bias))
    }
}

/// Normalisation of each vector to mean 0 and variance 1, then scaled and shifted.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    weight: Slot,
    bias: Slot,
    length: i64,
    eps: f64,
}

impl LayerNorm {
    pub(crate) fn new(params: &mut Params, name: &str, length: i64, eps: f64) -> Self {
        let zeros = Tensor::zeros([length], (Kind::Float, tch::Device::Cpu));
        let weight = params.add(format!("{name}.weight"), &zeros.ones_like(), Role::Trainable);
        let bias = params.add(format!("{name}.bias"), &zeros, Role::Trainable);
        LayerNorm { weight, bias, length, eps }
    }

    /// `[…, length]`, in the element type of `x`.
    pub(crate) fn forward(&self, params: &Params, x: &Tensor) -> Tensor {
        let [weight, bias] = [self.weight, self.bias].map(|slot| params.at(slot).to_kind(x.kind()));
        x.layer_norm([self.length], Some(&weight), Some(&bias), self.eps, true)
    }
}

/// A convolution along one axis, padded so that its length stays.
#[derive(Debug)]
pub(crate) struct Conv1d {
    weight: Slot,
    bias: Slot,
    kernel: i64,
}

impl Conv1d {
    /// `name` is the prefix with its dot; the shape is input, output and an odd kernel. PyTorch's initialisation.
    pub(crate) fn new(
        params: &mut Params,
        name: &str,
        (input, output, kernel): (i64, i64, i64),
        rng: &ChaCha8Rng,
    ) -> Self {
        let (bound, rng) = (1.0 / ((input * kernel) as f64).sqrt(), &mut stream_of(rng, name));
        let weight = uniform_tensor(rng, &[output, input, kernel], bound);
        let bias = uniform_tensor(rng, &[output], bound);
        Conv1d {
            weight: params.add(format!("{name}weight"), &weight, Role::Trainable),
            bias: params.add(format!("{name}bias"), &bias, Role::Trainable),
            kernel,
        }
    }

    /// `[n, input, length]` to `[n, output, length]`.
    pub(crate) fn forward(&self, params: &Params, x: &Tensor) -> Tensor {
        x.conv1d(params.at(self.weight), Some(params.at(self.bias)), [1], [self.kernel / 2], [1], 1)
    }
}

/// One step of an LSTM, gates in PyTorch's order: input, forget, cell, output.
#[derive(Debug)]
pub(crate) struct LstmCell {
    input_weight: Slot,
    hidden_weight: Slot,
    input_bias: Slot,
    hidden_bias: Slot,
}

impl LstmCell {
    /// PyTorch's initialisation: U(±1/√hidden). `name` is the prefix with its dot.
    pub(crate) fn new(params: &mut Params, name: &str, input: i64, hidden: i64, rng: &ChaCha8Rng) -> Self {
        Self::within(params, name, input, hidden, 1.0 / (hidden as f64).sqrt(), rng)
    }

    /// All weights and biases from U(±bound).
    pub(crate) fn within(
        params: &mut Params,
        name: &str,
        input: i64,
        hidden: i64,
        bound: f64,
        rng: &ChaCha8Rng,
    ) -> Self {
        let rng = &mut stream_of(rng, name);
        let mut add = |tensor: &str, size: &[i64]| {
            params.add(format!("{name}{tensor}"), &uniform_tensor(rng, size, bound), Role::Trainable)
        };
        LstmCell {
            input_weight: add("weight_ih", &[4 * hidden, input]),
            hidden_weight: add("weight_hh", &[4 * hidden, hidden]),
            input_bias: add("bias_ih", &[4 * hidden]),
            hidden_bias: add("bias_hh", &[4 * hidden]),
        }
    }

    /// `x: [n, input]`, the last hidden values and cells `[n, hidden]` to the next ones.
    pub(crate) fn forward(&self, params: &Params, x: &Tensor, hidden: &Tensor, cells: &Tensor) -> (Tensor, Tensor) {
        let gates = x.linear(params.at(self.input_weight), Some(params.at(self.input_bias)))
            + hidden.linear(params.at(self.hidden_weight), Some(params.at(self.hidden_bias)));
        let gates = gates.chunk(4, 1);
        let cells = gates[1].sigmoid() * cells + gates[0].sigmoid() * gates[2].tanh();
        (gates[3].sigmoid() * cells.tanh(), cells)
    }
}
