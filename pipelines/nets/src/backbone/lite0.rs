//! EfficientNet-Lite0: inverted residual blocks without squeeze-and-excitation, ReLU6, fixed stem and head.
//!
//! Sources: Tan and Le 2019 (arXiv 1905.11946), Sandler et al. 2018 (the block, arXiv 1801.04381); tensor names, the
//! asymmetric "same" padding and the input (x - 127) / 128 follow the PyTorch package `efficientnet_lite_pytorch`
//! 0.1.0, so that its weights load unrenamed. Absent: drop-connect and dropout, which act in training only.

use rand_chacha::ChaCha8Rng;
use tch::{Device, Tensor};

use super::input::{Colours, Input};
use super::{Backbone, BackboneKind, BackboneSpec};
use crate::layers::{BatchNorm, Conv, ConvNorm, ConvShape};
use crate::params::Params;
use crate::phase::Phase;

pub(super) const CHANNELS: i64 = 1280;
pub(super) const STEM: i64 = 32;
const MOMENTUM: f64 = 0.01;
const EPS: f64 = 1e-3;
/// What the published weights were trained with.
pub(super) const COLOURS: Colours = Colours { mean: [127.0; 3], scale: [128.0; 3] };

/// Repeats, kernel, stride of the first, expansion, input and output channels of each group of blocks.
pub(super) const GROUPS: [(usize, i64, i64, i64, i64, i64); 7] = [
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
];

/// EfficientNet-Lite0 up to its last activation.
#[derive(Debug)]
pub struct Lite0 {
    params: Params,
    input: Input,
    stem: Unit,
    blocks: Vec<Block>,
    head: Unit,
}

/// A convolution with its normalisation; pads as TensorFlow's "same" does.
#[derive(Debug)]
struct Unit {
    body: ConvNorm,
    kernel: i64,
    stride: i64,
}

/// An inverted residual block.
#[derive(Debug)]
struct Block {
    expand: Option<Unit>,
    depthwise: Unit,
    project: Unit,
    residual: bool,
}

impl Unit {
    fn new(
        params: &mut Params,
        (conv, norm): (&str, &str),
        (input, output, groups): (i64, i64, i64),
        (kernel, stride): (i64, i64),
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let shape = ConvShape { input, output, kernel, stride, groups, bias: false };
        let conv = Conv::new(params, conv, shape, rng);
        let norm = BatchNorm::new(params, norm, output, MOMENTUM, EPS);
        Unit { body: ConvNorm::new(conv, norm), kernel, stride }
    }

    fn forward(&self, params: &Params, x: &Tensor, phase: Phase) -> Tensor {
        // Stride 1 pads evenly, inside the convolution; stride 2 may not.
        if self.stride == 1 {
            return self.body.forward(params, x, (self.kernel - 1) / 2, phase);
        }
        let size = x.size();
        let (top, bottom) = same_padding(size[2], self.kernel, self.stride);
        let (left, right) = same_padding(size[3], self.kernel, self.stride);
        self.body.forward(params, &x.constant_pad_nd([left, right, top, bottom]), 0, phase)
    }

    fn activated(&self, params: &Params, x: &Tensor, phase: Phase) -> Tensor {
        self.forward(params, x, phase).clamp_(0.0, 6.0)
    }
}

/// Padding before and after one side so that the output has ceil(side / stride) places; the odd one goes after.
fn same_padding(side: i64, kernel: i64, stride: i64) -> (i64, i64) {
    let places = (side + stride - 1) / stride;
    let total = ((places - 1) * stride + kernel - side).max(0);
    (total / 2, total - total / 2)
}

impl Block {
    fn forward(&self, params: &Params, x: &Tensor, phase: Phase) -> Tensor {
        let wide = self.expand.as_ref().map(|expand| expand.activated(params, x, phase));
        let filtered = self.depthwise.activated(params, wide.as_ref().unwrap_or(x), phase);
        let narrow = self.project.forward(params, &filtered, phase);
        if self.residual { narrow + x } else { narrow }
    }
}

impl Lite0 {
    /// Fresh weights from `rng`. Trained ones come through [`Params::load`].
    pub(super) fn new(spec: &BackboneSpec, rng: &mut ChaCha8Rng, device: Device) -> Self {
        let mut params = Params::new(device).computing_in(spec.precision);
        let stem = Unit::new(&mut params, ("_conv_stem", "_bn0"), (3, STEM, 1), (3, 2), rng);
        let mut blocks = Vec::new();
        for (repeats, kernel, stride, expansion, input, output) in GROUPS {
            for repeat in 0..repeats {
                let (input, stride) = if repeat == 0 { (input, stride) } else { (output, 1) };
                let index = blocks.len();
                blocks.push(block(&mut params, index, (input, output, expansion), (kernel, stride), rng));
            }
        }
        let head = Unit::new(&mut params, ("_conv_head", "_bn1"), (320, CHANNELS, 1), (1, 1), rng);
        let input = Input::new(&mut params, spec.norm, COLOURS);
        Lite0 { params, input, stem, blocks, head }
    }
}

fn block(
    params: &mut Params,
    index: usize,
    (input, output, expansion): (i64, i64, i64),
    (kernel, stride): (i64, i64),
    rng: &mut ChaCha8Rng,
) -> Block {
    let wide = input * expansion;
    let mut unit = |conv: &str, norm: &str, channels, window| {
        let names = (format!("_blocks.{index}.{conv}"), format!("_blocks.{index}.{norm}"));
        Unit::new(params, (&names.0, &names.1), channels, window, rng)
    };
    let expand = (expansion != 1).then(|| unit("_expand_conv", "_bn0", (input, wide, 1), (1, 1)));
    let depthwise = unit("_depthwise_conv", "_bn1", (wide, wide, wide), (kernel, stride));
    let project = unit("_project_conv", "_bn2", (wide, output, 1), (1, 1));
    Block { expand, depthwise, project, residual: stride == 1 && input == output }
}

impl Backbone for Lite0 {
    fn kind(&self) -> BackboneKind {
        BackboneKind::EfficientNetLite0
    }

    fn input(&self) -> &Input {
        &self.input
    }

    fn map_after(&self, layers: usize, params: &Params, x: &Tensor, phase: Phase) -> Tensor {
        let stem = self.stem.activated(params, x, phase);
        let map = self.blocks.iter().take(layers).fold(stem, |map, block| block.forward(params, &map, phase));
        let map = if layers > self.blocks.len() { self.head.activated(params, &map, phase) } else { map };
        map.to_kind(tch::Kind::Float)
    }

    fn channels(&self) -> i64 {
        CHANNELS
    }

    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_convolution_follows_the_last_block() {
        let mut rng = rand_chacha::rand_core::SeedableRng::seed_from_u64(3);
        let net = Lite0::new(&BackboneSpec::new(BackboneKind::EfficientNetLite0, 0), &mut rng, Device::Cpu);
        let x = Tensor::arange(3 * 64 * 64, (tch::Kind::Float, Device::Cpu)).sin().reshape([1, 3, 64, 64]);
        let before = net.map_after(net.blocks.len(), &net.params, &x, Phase::Evaluate);
        assert_eq!(before.size(), [1, 320, 2, 2]);
        assert_eq!(net.head.activated(&net.params, &before, Phase::Evaluate), net.feature_map(&x, Phase::Evaluate));
    }

    #[test]
    fn same_padding_halves_even_and_odd_sides_upwards() {
        assert_eq!(same_padding(224, 3, 2), (0, 1));
        assert_eq!(same_padding(56, 5, 2), (1, 2));
        assert_eq!(same_padding(7, 3, 2), (1, 1));
    }
}
