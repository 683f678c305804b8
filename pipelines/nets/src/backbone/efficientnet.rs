//! EfficientNet-B0: inverted residual blocks with squeeze-and-excitation.
//!
//! Source: Tan and Le 2019 (arXiv 1905.11946); tensor names are timm's, padding is even on both sides, as in the weights that
//! timm and torchvision publish. Absent: drop-connect and dropout, which act in training only.

use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use super::input::{IMAGENET, Input};
use super::lite0::{CHANNELS, GROUPS, STEM};
use super::{Backbone, BackboneKind, BackboneSpec};
use crate::layers::{BatchNorm, Conv, ConvNorm, ConvShape};
use crate::params::Params;
use crate::phase::Phase;

/// How many times fewer channels than the block's input the squeezed vector has.
const SQUEEZE: i64 = 4;

/// EfficientNet-B0 up to its last activation.
#[derive(Debug)]
pub struct EfficientNetB0 {
    params: Params,
    input: Input,
    stem: Unit,
    blocks: Vec<Block>,
    head: Unit,
}

/// A convolution with its normalisation.
#[derive(Debug)]
struct Unit {
    body: ConvNorm,
    padding: i64,
}

/// An inverted residual block.
#[derive(Debug)]
struct Block {
    expand: Option<Unit>,
    depthwise: Unit,
    reduce: Conv,
    excite: Conv,
    project: Unit,
    residual: bool,
}

impl Unit {
    fn new(
        params: &mut Params,
        names: [&str; 2],
        (input, output, groups): (i64, i64, i64),
        (kernel, stride): (i64, i64),
        rng: &ChaCha8Rng,
    ) -> Self {
        let shape = ConvShape { input, output, kernel, stride, groups, bias: false };
        let conv = Conv::new(params, names[0], shape, rng);
        let norm = BatchNorm::new(params, names[1], output, 0.1, 1e-5);
        Unit { body: ConvNorm::new(conv, norm), padding: kernel / 2 }
    }

    fn activated(&self, params: &Params, x: &Tensor, phase: Phase) -> Tensor {
        self.body.forward(params, x, self.padding, phase).silu()
    }
}

impl Block {
    /// `name`: of the block; `shape`: input channels, output channels, expansion; `window`: kernel and stride.
    fn new(params: &mut Params, name: &str, shape: (i64, i64, i64), window: (i64, i64), rng: &ChaCha8Rng) -> Self {
        let (input, output, expansion) = shape;
        let wide = input * expansion;
        let is_wider = expansion != 1;
        // timm counts the normalisations of a block, and names the last convolution by whether there is a first one.
        let (last, place) = if is_wider { ("conv_pwl", 2) } else { ("conv_pw", 1) };
        let mut unit = |conv: &str, norm: usize, channels, window| {
            Unit::new(params, [&format!("{name}.{conv}"), &format!("{name}.bn{norm}")], channels, window, rng)
        };
        let expand = is_wider.then(|| unit("conv_pw", 1, (input, wide, 1), (1, 1)));
        let depthwise = unit("conv_dw", place, (wide, wide, wide), window);
        let project = unit(last, place + 1, (wide, output, 1), (1, 1));
        let mut squeeze = |conv: &str, input, output| {
            let shape = ConvShape { input, output, kernel: 1, stride: 1, groups: 1, bias: true };
            Conv::new(params, &format!("{name}.se.{conv}"), shape, rng)
        };
        let reduce = squeeze("conv_reduce", wide, input / SQUEEZE);
        let excite = squeeze("conv_expand", input / SQUEEZE, wide);
        Block { expand, depthwise, reduce, excite, project, residual: window.1 == 1 && input == output }
    }

    fn forward(&self, params: &Params, x: &Tensor, phase: Phase) -> Tensor {
        let wide = self.expand.as_ref().map(|expand| expand.activated(params, x, phase));
        let filtered = self.depthwise.activated(params, wide.as_ref().unwrap_or(x), phase);
        let squeezed = filtered.mean_dim([2i64, 3].as_slice(), true, filtered.kind());
        let squeezed = self.reduce.forward(params, &squeezed, 0).silu();
        let excited = filtered * self.excite.forward(params, &squeezed, 0).sigmoid();
        let narrow = self.project.body.forward(params, &excited, 0, phase);
        if self.residual { narrow + x } else { narrow }
    }
}

impl EfficientNetB0 {
    /// Fresh weights from `rng`.
    pub(super) fn new(spec: &BackboneSpec, rng: &mut ChaCha8Rng, device: Device) -> Self {
        let mut params = Params::new(device).computing_in(spec.precision);
        let stem = Unit::new(&mut params, ["conv_stem", "bn1"], (3, STEM, 1), (3, 2), rng);
        let mut blocks = Vec::new();
        for (group, (repeats, kernel, stride, expansion, input, output)) in GROUPS.into_iter().enumerate() {
            for repeat in 0..repeats {
                let (input, stride) = if repeat == 0 { (input, stride) } else { (output, 1) };
                let name = format!("blocks.{group}.{repeat}");
                blocks.push(Block::new(&mut params, &name, (input, output, expansion), (kernel, stride), rng));
            }
        }
        let last = GROUPS[GROUPS.len() - 1].5;
        let head = Unit::new(&mut params, ["conv_head", "bn2"], (last, CHANNELS, 1), (1, 1), rng);
        let input = Input::new(&mut params, spec.norm, IMAGENET);
        EfficientNetB0 { params, input, stem, blocks, head }
    }
}

impl Backbone for EfficientNetB0 {
    fn kind(&self) -> BackboneKind {
        BackboneKind::EfficientNetB0
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
