//! ResNet-18 and the ResNet-12 of few-shot learning.
//!
//! Sources: He, Zhang, Ren and Sun 2016 ("Deep Residual Learning for Image Recognition"); torchvision for ResNet-18's layout
//! and tensor names; Lee et al. 2019 (MetaOptNet) and Ye et al. 2020 (FEAT) for ResNet-12: three convolutions a block,
//! slope 0.1 below zero, a 2x2 max-pool behind each block. Absent: DropBlock, which acts in training only.

use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use super::input::{IMAGENET, Input};
use super::{Backbone, BackboneKind, BackboneSpec};
use crate::layers::{BatchNorm, Conv, ConvNorm, ConvShape};
use crate::params::Params;
use crate::phase::Phase;

/// Channels of ResNet-18's four groups of two blocks.
const CHANNELS_18: [i64; 4] = [64, 128, 256, 512];
/// Channels of ResNet-12's four blocks.
const CHANNELS_12: [i64; 4] = [64, 160, 320, 640];
/// ResNet-12's factor below zero.
const SLOPE_12: f64 = 0.1;

/// A residual net up to its last activation.
#[derive(Debug)]
pub struct ResNet {
    kind: BackboneKind,
    params: Params,
    input: Input,
    stem: Option<ConvNorm>,
    blocks: Vec<Block>,
}

/// Convolutions beside a shortcut.
#[derive(Debug)]
struct Block {
    convs: Vec<ConvNorm>,
    /// A 1x1 convolution where channels or places change.
    shortcut: Option<ConvNorm>,
    /// The factor below zero.
    slope: f64,
    pools: bool,
}

impl Block {
    fn forward(&self, params: &Params, x: &Tensor, phase: Phase) -> Tensor {
        let (last, before) = self.convs.split_last().expect("a block has convolutions");
        let mut map = x.shallow_clone();
        for conv in before {
            map = rectified(conv.forward(params, &map, 1, phase), self.slope);
        }
        let map = last.forward(params, &map, 1, phase);
        let map = match &self.shortcut {
            Some(shortcut) => map + shortcut.forward(params, x, 0, phase),
            None => map + x,
        };
        let map = rectified(map, self.slope);
        if self.pools { map.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false) } else { map }
    }
}

/// Values below zero times `slope`.
fn rectified(mut map: Tensor, slope: f64) -> Tensor {
    if slope == 0.0 { map.relu_() } else { map.maximum(&(&map * slope)) }
}

/// A convolution without bias, and its normalisation. `window`: kernel and stride.
fn unit(
    params: &mut Params,
    (conv, norm): (&str, &str),
    (input, output): (i64, i64),
    (kernel, stride): (i64, i64),
    rng: &mut ChaCha8Rng,
) -> ConvNorm {
    let shape = ConvShape { input, output, kernel, stride, groups: 1, bias: false };
    let conv = Conv::new(params, conv, shape, rng);
    ConvNorm::new(conv, BatchNorm::new(params, norm, output, 0.1, 1e-5))
}

/// A block of so many 3x3 convolutions, of which the first has the stride; named as torchvision does.
fn block(
    params: &mut Params,
    name: &str,
    (input, output): (i64, i64),
    (count, stride): (usize, i64),
    rng: &mut ChaCha8Rng,
) -> (Vec<ConvNorm>, Option<ConvNorm>) {
    let convs = (1..=count).map(|place| {
        let (input, stride) = if place == 1 { (input, stride) } else { (output, 1) };
        let names = (format!("{name}.conv{place}"), format!("{name}.bn{place}"));
        unit(params, (&names.0, &names.1), (input, output), (3, stride), rng)
    });
    let convs = convs.collect();
    let changes = input != output || stride != 1;
    let names = (format!("{name}.downsample.0"), format!("{name}.downsample.1"));
    let shortcut = changes.then(|| unit(params, (&names.0, &names.1), (input, output), (1, stride), rng));
    (convs, shortcut)
}

impl ResNet {
    /// Fresh weights from `rng`. The kind is one of the two residual nets.
    pub(super) fn new(spec: &BackboneSpec, rng: &mut ChaCha8Rng, device: Device) -> Self {
        let BackboneSpec { kind, width: _, norm, precision } = *spec;
        let mut params = Params::new(device).computing_in(precision);
        let is_18 = kind == BackboneKind::ResNet18;
        let stem = is_18.then(|| unit(&mut params, ("conv1", "bn1"), (3, CHANNELS_18[0]), (7, 2), rng));
        let (channels, per_group, count) = if is_18 { (CHANNELS_18, 2, 2) } else { (CHANNELS_12, 1, 3) };
        let (slope, pools) = if is_18 { (0.0, false) } else { (SLOPE_12, true) };
        let mut blocks = Vec::new();
        let mut input = if is_18 { CHANNELS_18[0] } else { 3 };
        for (group, output) in channels.into_iter().enumerate() {
            for place in 0..per_group {
                let stride = if is_18 && group > 0 && place == 0 { 2 } else { 1 };
                let name = format!("layer{}.{place}", group + 1);
                let (convs, shortcut) = block(&mut params, &name, (input, output), (count, stride), rng);
                blocks.push(Block { convs, shortcut, slope, pools });
                input = output;
            }
        }
        let own = Input::new(&mut params, norm, IMAGENET);
        ResNet { kind, params, input: own, stem, blocks }
    }
}

impl Backbone for ResNet {
    fn kind(&self) -> BackboneKind {
        self.kind
    }

    fn input(&self) -> &Input {
        &self.input
    }

    fn map_after(&self, layers: usize, params: &Params, x: &Tensor, phase: Phase) -> Tensor {
        let stem = self.stem.as_ref().map(|stem| {
            let map = rectified(stem.forward(params, x, 3, phase), 0.0);
            map.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)
        });
        let first = stem.unwrap_or_else(|| x.shallow_clone());
        let blocks = self.blocks.iter().take(layers);
        blocks.fold(first, |map, block| block.forward(params, &map, phase)).to_kind(Kind::Float)
    }

    fn embedding(&self, map: &Tensor) -> Tensor {
        map.mean_dim([2i64, 3].as_slice(), false, Kind::Float)
    }

    fn channels(&self) -> i64 {
        self.kind.fixed_channels().expect("residual nets have fixed widths")
    }

    fn map_px(&self) -> i64 {
        if self.kind == BackboneKind::ResNet18 { 7 } else { 5 }
    }

    fn embedding_dim(&self) -> i64 {
        self.channels()
    }

    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }
}
