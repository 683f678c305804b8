//! ConvNeXt-T: depthwise 7x7 convolutions, two linear layers a place, scaled branches.
//!
//! Source: Liu et al. 2022 (arXiv 2201.03545); tensor names are timm's. The embedding is the mean of the map, normalised as
//! the net's classifier reads it. Absent: drop-path, which acts in training only.

use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use super::input::{IMAGENET, Input};
use super::{Backbone, BackboneKind, BackboneSpec, Features};
use crate::layers::{Conv, ConvShape, LayerNorm, Linear};
use crate::params::{Params, Role, Slot};
use crate::phase::Phase;

/// Channels and blocks of each stage.
const STAGES: [(i64, usize); 4] = [(96, 3), (192, 3), (384, 9), (768, 3)];
const EPS: f64 = 1e-6;
/// What scaled branches begin with.
const FIRST_SCALE: f64 = 1e-6;

/// ConvNeXt-T up to the map that its classifier takes the mean of.
#[derive(Debug)]
pub struct ConvNext {
    params: Params,
    input: Input,
    stem: Conv,
    stem_norm: LayerNorm,
    layers: Vec<Layer>,
    last_norm: LayerNorm,
}

/// A block, after what makes the map smaller where a stage begins.
#[derive(Debug)]
struct Layer {
    smaller: Option<(LayerNorm, Conv)>,
    depthwise: Conv,
    norm: LayerNorm,
    hidden: Linear,
    output: Linear,
    scale: Slot,
}

fn conv(params: &mut Params, name: &str, channels: [i64; 2], window: [i64; 2], rng: &ChaCha8Rng) -> Conv {
    let ([input, output], [kernel, stride]) = (channels, window);
    Conv::new(params, name, ConvShape { input, output, kernel, stride, groups: 1, bias: true }, rng)
}

/// Normalises the channels of a map `[n, c, h, w]` at each place.
fn norm_places(norm: &LayerNorm, params: &Params, map: &Tensor) -> Tensor {
    norm.forward(params, &map.permute([0, 2, 3, 1])).permute([0, 3, 1, 2])
}

impl Layer {
    /// `before`: the channels of the last stage, where this block is the first of its own.
    fn new(
        params: &mut Params,
        (stage, block): (usize, usize),
        before: Option<i64>,
        channels: i64,
        rng: &ChaCha8Rng,
    ) -> Self {
        let smaller = before.map(|before| {
            let name = format!("stages.{stage}.downsample");
            let norm = LayerNorm::new(params, &format!("{name}.0"), before, EPS);
            (norm, conv(params, &format!("{name}.1"), [before, channels], [2, 2], rng))
        });
        let name = format!("stages.{stage}.blocks.{block}");
        let first = Tensor::full([channels], FIRST_SCALE, (Kind::Float, Device::Cpu));
        let scale = params.add(format!("{name}.gamma"), &first, Role::Trainable);
        let shape = ConvShape { input: channels, output: channels, kernel: 7, stride: 1, groups: channels, bias: true };
        Layer {
            smaller,
            depthwise: Conv::new(params, &format!("{name}.conv_dw"), shape, rng),
            norm: LayerNorm::new(params, &format!("{name}.norm"), channels, EPS),
            hidden: Linear::new(params, &format!("{name}.mlp.fc1."), channels, 4 * channels, rng),
            output: Linear::new(params, &format!("{name}.mlp.fc2."), 4 * channels, channels, rng),
            scale,
        }
    }

    fn forward(&self, params: &Params, map: &Tensor) -> Tensor {
        let smaller = self.smaller.as_ref();
        let smaller = smaller.map(|(norm, conv)| conv.forward(params, &norm_places(norm, params, map), 0));
        let map = smaller.as_ref().unwrap_or(map);
        let places = self.depthwise.forward(params, map, 3).permute([0, 2, 3, 1]);
        let hidden = self.hidden.forward(params, &self.norm.forward(params, &places)).gelu("none");
        let branch = self.output.forward(params, &hidden) * params.at(self.scale).to_kind(map.kind());
        map + branch.permute([0, 3, 1, 2])
    }
}

impl ConvNext {
    /// Fresh weights from `rng`.
    pub(super) fn new(spec: &BackboneSpec, rng: &mut ChaCha8Rng, device: Device) -> Self {
        let mut params = Params::new(device).computing_in(spec.precision);
        let stem = conv(&mut params, "stem.0", [3, STAGES[0].0], [4, 4], rng);
        let stem_norm = LayerNorm::new(&mut params, "stem.1", STAGES[0].0, EPS);
        let mut layers = Vec::new();
        for (stage, (channels, blocks)) in STAGES.into_iter().enumerate() {
            for block in 0..blocks {
                let before = (stage > 0 && block == 0).then(|| STAGES[stage - 1].0);
                layers.push(Layer::new(&mut params, (stage, block), before, channels, rng));
            }
        }
        let last_norm = LayerNorm::new(&mut params, "head.norm", STAGES[3].0, EPS);
        let input = Input::new(&mut params, spec.norm, IMAGENET);
        ConvNext { params, input, stem, stem_norm, layers, last_norm }
    }
}

impl Backbone for ConvNext {
    fn kind(&self) -> BackboneKind {
        BackboneKind::ConvNextTiny
    }

    fn input(&self) -> &Input {
        &self.input
    }

    fn map_after(&self, layers: usize, params: &Params, x: &Tensor, _phase: Phase) -> Tensor {
        let first = norm_places(&self.stem_norm, params, &self.stem.forward(params, x, 0));
        let layers = self.layers.iter().take(layers);
        layers.fold(first, |map, layer| layer.forward(params, &map)).to_kind(Kind::Float)
    }

    fn features_with(&self, params: &Params, x: &Tensor, phase: Phase) -> Features {
        let map = self.feature_map_with(params, x, phase);
        let mean = map.mean_dim([2i64, 3].as_slice(), false, Kind::Float);
        Features { embedding: self.last_norm.forward(params, &mean), map }
    }

    fn channels(&self) -> i64 {
        STAGES[3].0
    }

    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }
}
