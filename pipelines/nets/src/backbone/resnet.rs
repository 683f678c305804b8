//! ResNet-18, ResNet-50 and the ResNet-12 of few-shot learning.
//!
//! Sources: He, Zhang, Ren and Sun 2016 ("Deep Residual Learning for Image Recognition"); torchvision for the layout and
//! tensor names of ResNet-18 and ResNet-50 (whose 3x3 convolutions have the stride); Lee et al. 2019 (MetaOptNet) and Ye et al. 2020 (FEAT) for ResNet-12: three convolutions a block,
//! slope 0.1 below zero, a 2x2 max-pool behind each block. Absent: DropBlock, which acts in training only.

use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use super::input::{IMAGENET, Input};
use super::{Backbone, BackboneKind, BackboneSpec};
use crate::layers::{BatchNorm, Conv, ConvNorm, ConvShape};
use crate::params::Params;
use crate::phase::Phase;

/// How a residual net is laid out.
struct Plan {
    /// Whether a 7x7 convolution and a pool come first.
    has_stem: bool,
    /// Channels of the four groups, as the inner convolutions have them.
    channels: [i64; 4],
    /// Blocks of the four groups.
    blocks: [usize; 4],
    /// Sides of a block's windows; the first of 3x3 has the stride.
    windows: &'static [i64],
    /// How many times more channels a block's last convolution has.
    widening: i64,
    /// The factor below zero.
    slope: f64,
    /// Whether a block ends with a 2x2 pool; else the first block of each group but the first has stride 2.
    pools: bool,
}

const RESNET_18: Plan = Plan {
    has_stem: true,
    channels: [64, 128, 256, 512],
    blocks: [2; 4],
    windows: &[3, 3],
    widening: 1,
    slope: 0.0,
    pools: false,
};
const RESNET_50: Plan = Plan { blocks: [3, 4, 6, 3], windows: &[1, 3, 1], widening: 4, ..RESNET_18 };
const RESNET_12: Plan = Plan {
    has_stem: false,
    channels: [64, 160, 320, 640],
    blocks: [1; 4],
    windows: &[3, 3, 3],
    widening: 1,
    slope: 0.1,
    pools: true,
};

/// The layout of a kind that is one of the residual nets.
fn plan(kind: BackboneKind) -> Plan {
    match kind {
        BackboneKind::ResNet50 => RESNET_50,
        BackboneKind::ResNet18 => RESNET_18,
        _ => RESNET_12,
    }
}

/// A residual net up to its last activation.
#[derive(Debug)]
pub struct ResNet {
    kind: BackboneKind,
    params: Params,
    input: Input,
    stem: Option<Unit>,
    blocks: Vec<Block>,
}

/// Convolutions beside a shortcut.
#[derive(Debug)]
struct Block {
    convs: Vec<Unit>,
    /// A 1x1 convolution where channels or places change.
    shortcut: Option<Unit>,
    /// The factor below zero.
    slope: f64,
    pools: bool,
}

/// A convolution without bias, its normalisation, and the padding that keeps the side.
#[derive(Debug)]
struct Unit {
    body: ConvNorm,
    padding: i64,
}

impl Unit {
    fn new(
        params: &mut Params,
        (conv, norm): (&str, &str),
        (input, output): (i64, i64),
        (kernel, stride): (i64, i64),
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let shape = ConvShape { input, output, kernel, stride, groups: 1, bias: false };
        let conv = Conv::new(params, conv, shape, rng);
        Unit { body: ConvNorm::new(conv, BatchNorm::new(params, norm, output, 0.1, 1e-5)), padding: kernel / 2 }
    }

    fn forward(&self, params: &Params, x: &Tensor, phase: Phase) -> Tensor {
        self.body.forward(params, x, self.padding, phase)
    }
}

impl Block {
    /// Named as torchvision does. `input`: channels before; `inner`: of the convolutions but the last.
    fn new(
        params: &mut Params,
        name: &str,
        plan: &Plan,
        (input, inner, stride): (i64, i64, i64),
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let output = inner * plan.widening;
        let strided = plan.windows.iter().position(|side| *side == 3);
        let mut convs = Vec::new();
        for (place, side) in plan.windows.iter().enumerate() {
            let before = if place == 0 { input } else { inner };
            let after = if place + 1 == plan.windows.len() { output } else { inner };
            let window = (*side, if Some(place) == strided { stride } else { 1 });
            let names = (format!("{name}.conv{}", place + 1), format!("{name}.bn{}", place + 1));
            convs.push(Unit::new(params, (&names.0, &names.1), (before, after), window, rng));
        }
        let changes = input != output || stride != 1;
        let names = (format!("{name}.downsample.0"), format!("{name}.downsample.1"));
        let shortcut = changes.then(|| Unit::new(params, (&names.0, &names.1), (input, output), (1, stride), rng));
        Block { convs, shortcut, slope: plan.slope, pools: plan.pools }
    }

    fn forward(&self, params: &Params, x: &Tensor, phase: Phase) -> Tensor {
        let (last, before) = self.convs.split_last().expect("a block has convolutions");
        let mut map = x.shallow_clone();
        for conv in before {
            map = rectified(conv.forward(params, &map, phase), self.slope);
        }
        let map = last.forward(params, &map, phase);
        let map = match &self.shortcut {
            Some(shortcut) => map + shortcut.forward(params, x, phase),
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

impl ResNet {
    /// Fresh weights from `rng`. The kind is one of the residual nets.
    pub(super) fn new(spec: &BackboneSpec, rng: &mut ChaCha8Rng, device: Device) -> Self {
        let BackboneSpec { kind, width: _, norm, precision } = *spec;
        let mut params = Params::new(device).computing_in(precision);
        let plan = plan(kind);
        let first = plan.channels[0];
        let stem = plan.has_stem.then(|| Unit::new(&mut params, ("conv1", "bn1"), (3, first), (7, 2), rng));
        let mut blocks = Vec::new();
        let mut input = if plan.has_stem { first } else { 3 };
        for (group, inner) in plan.channels.into_iter().enumerate() {
            for place in 0..plan.blocks[group] {
                let stride = if !plan.pools && group > 0 && place == 0 { 2 } else { 1 };
                let name = format!("layer{}.{place}", group + 1);
                blocks.push(Block::new(&mut params, &name, &plan, (input, inner, stride), rng));
                input = inner * plan.widening;
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
            let map = rectified(stem.forward(params, x, phase), 0.0);
            map.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)
        });
        let first = stem.unwrap_or_else(|| x.shallow_clone());
        let blocks = self.blocks.iter().take(layers);
        blocks.fold(first, |map, block| block.forward(params, &map, phase)).to_kind(Kind::Float)
    }

    fn channels(&self) -> i64 {
        self.kind.fixed_channels().expect("residual nets have fixed widths")
    }

    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }
}
