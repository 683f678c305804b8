//! Vision transformers of patches, as DINO (ViT-S/16, ViT-B/16) and DINOv2 (ViT-S/14, ViT-B/14) train them.
//!
//! Sources: Dosovitskiy et al. 2021 (arXiv 2010.11929), Caron et al. 2021 (DINO, arXiv 2104.14294), Oquab et al. 2024
//! (DINOv2, arXiv 2304.07193), Touvron et al. 2021 (scaled branches, arXiv 2103.17239); tensor names are timm's, which are
//! those of both authors. The map is made of the patches' tokens, the embedding is the class token, each normalised. Absent: drop-path
//! and masking, which act in training only, and register tokens.

use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use super::input::{IMAGENET, Input};
use super::{Backbone, BackboneKind, BackboneSpec, Features};
use crate::draw::{normal_tensor, stream_of};
use crate::layers::{Conv, ConvShape, LayerNorm, Linear};
use crate::params::{Params, Role, Slot};
use crate::phase::Phase;

const BLOCKS: usize = 12;
const EPS: f64 = 1e-6;
/// How many times wider than a token the hidden layer of a block is.
const EXPANSION: i64 = 4;
/// Numbers of a token that one head of attention sees.
const PER_HEAD: i64 = 64;
/// The spread of fresh tokens and positions.
const SPREAD: f64 = 0.02;
/// What scaled branches begin with.
const FIRST_SCALE: f64 = 1e-5;

/// A transformer up to its last normalisation.
#[derive(Debug)]
pub struct Vit {
    kind: BackboneKind,
    width: i64,
    params: Params,
    input: Input,
    class_token: Slot,
    positions: Slot,
    patches: Conv,
    blocks: Vec<Block>,
    norm: LayerNorm,
}

/// Attention and two linear layers, each beside a shortcut.
#[derive(Debug)]
struct Block {
    norms: [LayerNorm; 2],
    attention: Linear,
    projection: Linear,
    hidden: Linear,
    output: Linear,
    /// Factors of both branches.
    scales: Option<[Slot; 2]>,
}

/// The side of a patch, in pixels.
fn patch_px(kind: BackboneKind) -> i64 {
    kind.input_px() / kind.map_px()
}

fn has_scales(kind: BackboneKind) -> bool {
    matches!(kind, BackboneKind::VitS14 | BackboneKind::VitB14)
}

impl Block {
    fn new(params: &mut Params, name: &str, (width, kind): (i64, BackboneKind), rng: &ChaCha8Rng) -> Self {
        let norm = |params: &mut Params, norm: &str| LayerNorm::new(params, &format!("{name}.{norm}"), width, EPS);
        let linear = |params: &mut Params, layer: &str, (input, output): (i64, i64)| {
            Linear::new(params, &format!("{name}.{layer}."), input, output, rng)
        };
        let scale = |params: &mut Params, branch: usize| {
            let first = Tensor::full([width], FIRST_SCALE, (Kind::Float, Device::Cpu));
            params.add(format!("{name}.ls{branch}.gamma"), &first, Role::Trainable)
        };
        Block {
            norms: [norm(params, "norm1"), norm(params, "norm2")],
            attention: linear(params, "attn.qkv", (width, 3 * width)),
            projection: linear(params, "attn.proj", (width, width)),
            hidden: linear(params, "mlp.fc1", (width, EXPANSION * width)),
            output: linear(params, "mlp.fc2", (EXPANSION * width, width)),
            scales: has_scales(kind).then(|| [scale(params, 1), scale(params, 2)]),
        }
    }

    /// `tokens: [n, t, d]`.
    fn forward(&self, params: &Params, tokens: &Tensor) -> Tensor {
        let scaled = |branch: Tensor, at: usize| match &self.scales {
            Some(slots) => branch * params.at(slots[at]).to_kind(tokens.kind()),
            None => branch,
        };
        let attended = self.attend(params, &self.norms[0].forward(params, tokens));
        let tokens = tokens + scaled(attended, 0);
        let hidden = self.hidden.forward(params, &self.norms[1].forward(params, &tokens)).gelu("none");
        &tokens + scaled(self.output.forward(params, &hidden), 1)
    }

    fn attend(&self, params: &Params, tokens: &Tensor) -> Tensor {
        let (n, count, width) = tokens.size3().expect("tokens are [n, t, d]");
        let parts = self.attention.forward(params, tokens).reshape([n, count, 3, width / PER_HEAD, PER_HEAD]);
        let parts = parts.permute([2, 0, 3, 1, 4]).unbind(0); // query, key, value: [n, heads, t, d / heads]
        let none = None::<Tensor>;
        let [query, key, value] = [&parts[0], &parts[1], &parts[2]];
        let seen = Tensor::scaled_dot_product_attention(query, key, value, none, 0.0, false, None, false);
        self.projection.forward(params, &seen.transpose(1, 2).reshape([n, count, width]))
    }
}

impl Vit {
    /// Fresh weights from `rng`. The kind is one of the transformers.
    pub(super) fn new(spec: &BackboneSpec, rng: &mut ChaCha8Rng, device: Device) -> Self {
        let BackboneSpec { kind, width: _, norm, precision } = *spec;
        let width = kind.fixed_channels().expect("transformers have fixed widths");
        let mut params = Params::new(device).computing_in(precision);
        let mut drawn = |name: &str, size: &[i64]| {
            let values = normal_tensor(&mut stream_of(rng, name), size, SPREAD);
            params.add(name, &values, Role::Trainable)
        };
        let class_token = drawn("cls_token", &[1, 1, width]);
        let positions = drawn("pos_embed", &[1, 1 + kind.map_px().pow(2), width]);
        let side = patch_px(kind);
        let shape = ConvShape { input: 3, output: width, kernel: side, stride: side, groups: 1, bias: true };
        let patches = Conv::new(&mut params, "patch_embed.proj", shape, rng);
        let block = |at| Block::new(&mut params, &format!("blocks.{at}"), (width, kind), rng);
        let blocks = (0..BLOCKS).map(block).collect();
        let last = LayerNorm::new(&mut params, "norm", width, EPS);
        let input = Input::new(&mut params, norm, IMAGENET);
        Vit { kind, width, params, input, class_token, positions, patches, blocks, norm: last }
    }

    /// The tokens of `x` after so many blocks, normalised: `[n, 1 + h·w, d]`, f32, the class token first; with `h` and `w`.
    fn tokens(&self, layers: usize, params: &Params, x: &Tensor) -> (Tensor, [i64; 2]) {
        let map = self.patches.forward(params, x, 0);
        let (n, _, height, width) = map.size4().expect("a map is [n, c, h, w]");
        let class = params.at(self.class_token).expand([n, 1, self.width], false).to_kind(map.kind());
        let positions = resampled(params.at(self.positions), [height, width]).to_kind(map.kind());
        let first = Tensor::cat(&[class, map.flatten(2, 3).transpose(1, 2)], 1) + positions;
        let last = self.blocks.iter().take(layers).fold(first, |tokens, block| block.forward(params, &tokens));
        (self.norm.forward(params, &last).to_kind(Kind::Float), [height, width])
    }

    /// Lays the patches' tokens out as a map `[n, d, h, w]`.
    fn map(&self, tokens: &Tensor, [height, width]: [i64; 2]) -> Tensor {
        let patches = tokens.narrow(1, 1, height * width).transpose(1, 2);
        patches.reshape([-1, self.width, height, width])
    }
}

/// Positions of a square of patches, brought to another number of patches: `[1, 1 + h·w, d]`, that of the class token first. As
/// timm does: bicubic, over an area where there are fewer than before.
pub(crate) fn resampled(positions: &Tensor, [height, width]: [i64; 2]) -> Tensor {
    let (_, count, length) = positions.size3().expect("positions are [1, 1 + h·w, d]");
    let side = ((count - 1) as f64).sqrt() as i64;
    if [height, width] == [side, side] {
        return positions.shallow_clone();
    }
    let square = positions.narrow(1, 1, count - 1).reshape([1, side, side, length]).permute([0, 3, 1, 2]);
    let other = square.internal_upsample_bicubic2d_aa([height, width], false, None, None);
    let other = other.permute([0, 2, 3, 1]).reshape([1, height * width, length]);
    Tensor::cat(&[positions.narrow(1, 0, 1), other], 1)
}

impl Backbone for Vit {
    fn kind(&self) -> BackboneKind {
        self.kind
    }

    fn input(&self) -> &Input {
        &self.input
    }

    fn map_after(&self, layers: usize, params: &Params, x: &Tensor, _phase: Phase) -> Tensor {
        let (tokens, sides) = self.tokens(layers, params, x);
        self.map(&tokens, sides)
    }

    fn features_with(&self, params: &Params, x: &Tensor, _phase: Phase) -> Features {
        let (tokens, sides) = self.tokens(BLOCKS, params, x);
        Features { map: self.map(&tokens, sides), embedding: tokens.select(1, 0) }
    }

    fn channels(&self) -> i64 {
        self.width
    }

    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }
}
