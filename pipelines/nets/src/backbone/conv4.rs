//! Conv-4: four blocks of 3x3 convolution, batch normalisation and ReLU, in three layouts of padding and pooling.
//!
//! Sources: Vinyals et al. 2016 and Snell et al. 2017 (pooled), Sung et al. 2018 (np19; its code, floodsung's
//! LearningToCompare_FSL), LibFewShot (np21), CloserLook (initialisation). 113,088 parameters at 64 filters.

use rand_chacha::ChaCha8Rng;
use tch::{Device, Tensor};

use super::{Backbone, BackboneKind, normalised};
use crate::layers::ConvBlock;
use crate::params::Params;

/// ImageNet's mean and standard deviation per colour, on 0..255.
pub(super) const MEAN: [f32; 3] = [0.485 * 255.0, 0.456 * 255.0, 0.406 * 255.0];
pub(super) const SCALE: [f32; 3] = [0.229 * 255.0, 0.224 * 255.0, 0.225 * 255.0];

/// Side to which a map without pooling is averaged before it is flattened into an embedding: 19x19 is too long to keep.
const EMBEDDING_SIDE: i64 = 6;

/// The four-block backbone.
#[derive(Debug)]
pub struct Conv4 {
    kind: BackboneKind,
    width: i64,
    params: Params,
    blocks: [ConvBlock; 4],
}

/// Padding and pooling of the four blocks.
fn layout(kind: BackboneKind) -> [(i64, bool); 4] {
    match kind {
        BackboneKind::Conv4Np19 => [(0, true), (0, true), (1, false), (1, false)],
        BackboneKind::Conv4Np21 => [(1, true), (1, true), (1, false), (1, false)],
        BackboneKind::Conv4Pooled => [(1, true); 4],
        other => unreachable!("{other} is no Conv-4"),
    }
}

impl Conv4 {
    /// Fresh weights from `rng`; `width` filters in each block. `kind` is one of the three Conv-4 kinds.
    pub(super) fn new(kind: BackboneKind, width: i64, rng: &mut ChaCha8Rng, device: Device) -> Self {
        let mut params = Params::new(device);
        let blocks = std::array::from_fn(|index| {
            let input = if index == 0 { 3 } else { width };
            ConvBlock::new(&mut params, &format!("block{}", index + 1), (input, width), rng)
        });
        Conv4 { kind, width, params, blocks }
    }
}

impl Backbone for Conv4 {
    fn kind(&self) -> BackboneKind {
        self.kind
    }

    fn normalise(&self, pixels: &Tensor) -> Tensor {
        normalised(pixels, MEAN, SCALE, self.params.device())
    }

    fn feature_map_with(&self, params: &Params, x: &Tensor, train: bool) -> Tensor {
        let blocks = self.blocks.iter().zip(layout(self.kind));
        blocks.fold(x.shallow_clone(), |map, (block, layout)| block.forward(params, &map, layout, train))
    }

    fn embedding(&self, map: &Tensor) -> Tensor {
        match self.kind {
            BackboneKind::Conv4Pooled => map.flatten(1, -1),
            _ => map.adaptive_avg_pool2d([EMBEDDING_SIDE, EMBEDDING_SIDE]).flatten(1, -1),
        }
    }

    fn channels(&self) -> i64 {
        self.width
    }

    fn map_px(&self) -> i64 {
        match self.kind {
            BackboneKind::Conv4Np19 => 19,
            BackboneKind::Conv4Np21 => 21,
            _ => 5,
        }
    }

    fn embedding_dim(&self) -> i64 {
        let side = if self.kind == BackboneKind::Conv4Pooled { self.map_px() } else { EMBEDDING_SIDE };
        self.width * side * side
    }

    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }
}
