//! EfficientNet-B0 and EfficientNet-Lite0: inverted residual blocks, in Lite0 without squeeze-and-excitation, with ReLU6 for SiLU
//! and with fixed stem and head.
//!
//! Sources: Tan and Le 2019 (arXiv 1905.11946), Sandler et al. 2018 (the block, arXiv 1801.04381). B0's tensor names are timm's,
//! its padding is even on both sides, as in the weights that timm and torchvision publish. Lite0's tensor names, asymmetric
//! "same" padding and input (x - 127) / 128 follow the PyTorch package `efficientnet_lite_pytorch` 0.1.0, so that its weights
//! load unrenamed. Absent: drop-connect and dropout, which act in training only.

use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use super::input::{Colours, IMAGENET, Input};
use super::{Backbone, BackboneKind, BackboneSpec};
use crate::layers::{BatchNorm, Conv, ConvNorm, ConvShape};
use crate::params::Params;
use crate::phase::Phase;

const CHANNELS: i64 = 1280;
const STEM: i64 = 32;
/// How many times fewer channels than the block's input B0's squeezed vector has.
const SQUEEZE: i64 = 4;
/// What Lite0's published weights were trained with.
pub(super) const LITE0_COLOURS: Colours = Colours { mean: [127.0; 3], scale: [128.0; 3] };

/// Repeats, kernel, stride of the first, expansion, input and output channels of each group of blocks.
const GROUPS: [(usize, i64, i64, i64, i64, i64); 7] = [
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
];

/// Which of the two networks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    B0,
    Lite0,
}

/// An EfficientNet up to its last activation.
#[derive(Debug)]
pub struct EfficientNet {
    form: Form,
    params: Params,
    input: Input,
    stem: Unit,
    blocks: Vec<Block>,
    head: Unit,
}

/// A convolution with its normalisation.
#[derive(Debug)]
struct Unit {
    form: Form,
    body: ConvNorm,
    kernel: i64,
    stride: i64,
}

/// An inverted residual block.
#[derive(Debug)]
struct Block {
    expand: Option<Unit>,
    depthwise: Unit,
    squeeze: Option<Squeeze>,
    project: Unit,
    residual: bool,
}

/// Squeeze-and-excitation: weighs channels by what all of them hold on average.
#[derive(Debug)]
struct Squeeze {
    reduce: Conv,
    excite: Conv,
}

/// A convolution and the normalisation behind it.
type Names = [&'static str; 2];

impl Form {
    /// Momentum and epsilon of the normalisations.
    fn normalisation(self) -> (f64, f64) {
        match self {
            Form::B0 => (0.1, 1e-5),
            Form::Lite0 => (0.01, 1e-3),
        }
    }

    fn stem(self) -> Names {
        match self {
            Form::B0 => ["conv_stem", "bn1"],
            Form::Lite0 => ["_conv_stem", "_bn0"],
        }
    }

    fn head(self) -> Names {
        match self {
            Form::B0 => ["conv_head", "bn2"],
            Form::Lite0 => ["_conv_head", "_bn1"],
        }
    }

    /// The name of a block, by its number and by group and number in it.
    fn block(self, index: usize, group: usize, repeat: usize) -> String {
        match self {
            Form::B0 => format!("blocks.{group}.{repeat}"),
            Form::Lite0 => format!("_blocks.{index}"),
        }
    }

    /// Names in a block: of the expansion, the filter and the projection.
    fn units(self, expansion: i64) -> [Names; 3] {
        match (self, expansion) {
            // timm counts the normalisations of a block, and names the last convolution by whether there is a first one.
            (Form::B0, 1) => [["", ""], ["conv_dw", "bn1"], ["conv_pw", "bn2"]],
            (Form::B0, _) => [["conv_pw", "bn1"], ["conv_dw", "bn2"], ["conv_pwl", "bn3"]],
            (Form::Lite0, _) => [["_expand_conv", "_bn0"], ["_depthwise_conv", "_bn1"], ["_project_conv", "_bn2"]],
        }
    }
}

impl Unit {
    /// `channels`: of input, output, and groups; `window`: kernel and stride.
    fn new(
        form: Form,
        params: &mut Params,
        names: [&str; 2],
        (input, output, groups): (i64, i64, i64),
        (kernel, stride): (i64, i64),
        rng: &ChaCha8Rng,
    ) -> Self {
        let shape = ConvShape { input, output, kernel, stride, groups, bias: false };
        let conv = Conv::new(params, names[0], shape, rng);
        let (momentum, eps) = form.normalisation();
        let norm = BatchNorm::new(params, names[1], output, momentum, eps);
        Unit { form, body: ConvNorm::new(conv, norm), kernel, stride }
    }

    fn forward(&self, params: &Params, x: &Tensor, phase: Phase) -> Tensor {
        // Even padding is the convolution's own; as TensorFlow pads, stride 2 may need another.
        match self.form {
            Form::Lite0 if self.stride > 1 => {
                let size = x.size();
                let (top, bottom) = same_padding(size[2], self.kernel, self.stride);
                let (left, right) = same_padding(size[3], self.kernel, self.stride);
                self.body.forward(params, &x.constant_pad_nd([left, right, top, bottom]), 0, phase)
            }
            _ => self.body.forward(params, x, self.kernel / 2, phase),
        }
    }

    fn activated(&self, params: &Params, x: &Tensor, phase: Phase) -> Tensor {
        let mut x = self.forward(params, x, phase);
        match self.form {
            Form::B0 => x.silu(),
            Form::Lite0 => x.clamp_(0.0, 6.0),
        }
    }
}

/// Padding before and after one side so that the output has ceil(side / stride) places; the odd one goes after.
fn same_padding(side: i64, kernel: i64, stride: i64) -> (i64, i64) {
    let places = (side + stride - 1) / stride;
    let total = ((places - 1) * stride + kernel - side).max(0);
    (total / 2, total - total / 2)
}

impl Squeeze {
    /// `input`: channels of the block's input; `wide`: those that are weighed.
    fn new(params: &mut Params, block: &str, input: i64, wide: i64, rng: &ChaCha8Rng) -> Self {
        let mut conv = |name: &str, input, output| {
            let shape = ConvShape { input, output, kernel: 1, stride: 1, groups: 1, bias: true };
            Conv::new(params, &format!("{block}.se.{name}"), shape, rng)
        };
        let reduce = conv("conv_reduce", wide, input / SQUEEZE);
        let excite = conv("conv_expand", input / SQUEEZE, wide);
        Squeeze { reduce, excite }
    }

    fn forward(&self, params: &Params, x: Tensor) -> Tensor {
        let mean = x.mean_dim([2i64, 3].as_slice(), true, x.kind());
        let squeezed = self.reduce.forward(params, &mean, 0).silu();
        x * self.excite.forward(params, &squeezed, 0).sigmoid()
    }
}

impl Block {
    /// `shape`: input channels, output channels, expansion; `window`: kernel and stride.
    fn new(
        form: Form,
        params: &mut Params,
        name: &str,
        shape: (i64, i64, i64),
        window: (i64, i64),
        rng: &ChaCha8Rng,
    ) -> Self {
        let (input, output, expansion) = shape;
        let wide = input * expansion;
        let names = form.units(expansion);
        let mut unit = |[conv, norm]: Names, channels, window| {
            let names = [format!("{name}.{conv}"), format!("{name}.{norm}")];
            Unit::new(form, params, [&names[0], &names[1]], channels, window, rng)
        };
        let expand = (expansion != 1).then(|| unit(names[0], (input, wide, 1), (1, 1)));
        let depthwise = unit(names[1], (wide, wide, wide), window);
        let project = unit(names[2], (wide, output, 1), (1, 1));
        let squeeze = matches!(form, Form::B0).then(|| Squeeze::new(params, name, input, wide, rng));
        Block { expand, depthwise, squeeze, project, residual: window.1 == 1 && input == output }
    }

    fn forward(&self, params: &Params, x: &Tensor, phase: Phase) -> Tensor {
        let wide = self.expand.as_ref().map(|expand| expand.activated(params, x, phase));
        let filtered = self.depthwise.activated(params, wide.as_ref().unwrap_or(x), phase);
        let weighed = match &self.squeeze {
            Some(squeeze) => squeeze.forward(params, filtered),
            None => filtered,
        };
        let narrow = self.project.forward(params, &weighed, phase);
        if self.residual { narrow + x } else { narrow }
    }
}

impl EfficientNet {
    /// Fresh weights from `rng`. Trained ones come through [`Params::load`].
    pub(super) fn new(form: Form, spec: &BackboneSpec, rng: &ChaCha8Rng, device: Device) -> Self {
        let mut params = Params::new(device).computing_in(spec.precision);
        let stem = Unit::new(form, &mut params, form.stem(), (3, STEM, 1), (3, 2), rng);
        let mut blocks = Vec::new();
        for (group, (repeats, kernel, stride, expansion, input, output)) in GROUPS.into_iter().enumerate() {
            for repeat in 0..repeats {
                let (input, stride) = if repeat == 0 { (input, stride) } else { (output, 1) };
                let name = form.block(blocks.len(), group, repeat);
                blocks.push(Block::new(form, &mut params, &name, (input, output, expansion), (kernel, stride), rng));
            }
        }
        let last = GROUPS[GROUPS.len() - 1].5;
        let head = Unit::new(form, &mut params, form.head(), (last, CHANNELS, 1), (1, 1), rng);
        let colours = match form {
            Form::B0 => IMAGENET,
            Form::Lite0 => LITE0_COLOURS,
        };
        let input = Input::new(&mut params, spec.norm, colours);
        EfficientNet { form, params, input, stem, blocks, head }
    }
}

impl Backbone for EfficientNet {
    fn kind(&self) -> BackboneKind {
        match self.form {
            Form::B0 => BackboneKind::EfficientNetB0,
            Form::Lite0 => BackboneKind::EfficientNetLite0,
        }
    }

    fn input(&self) -> &Input {
        &self.input
    }

    fn map_after(&self, layers: usize, params: &Params, x: &Tensor, phase: Phase) -> Tensor {
        let stem = self.stem.activated(params, x, phase);
        let map = self.blocks.iter().take(layers).fold(stem, |map, block| block.forward(params, &map, phase));
        let map = if layers > self.blocks.len() { self.head.activated(params, &map, phase) } else { map };
        map.to_kind(Kind::Float)
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
        let rng = rand_chacha::rand_core::SeedableRng::seed_from_u64(3);
        let spec = BackboneSpec::new(BackboneKind::EfficientNetLite0, 0);
        let net = EfficientNet::new(Form::Lite0, &spec, &rng, Device::Cpu);
        let x = Tensor::arange(3 * 64 * 64, (Kind::Float, Device::Cpu)).sin().reshape([1, 3, 64, 64]);
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
