//! Conv-4: four blocks of 3x3 convolution, batch normalisation and ReLU, in three layouts of padding and pooling.
//!
//! Sources: Vinyals et al. 2016 and Snell et al. 2017 (pooled), Sung et al. 2018 (np19; its code, floodsung's
//! LearningToCompare_FSL), LibFewShot (np21), CloserLook (initialisation). 113,088 parameters at 64 filters.

use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor};

use super::input::{IMAGENET, Input};
use super::{Backbone, BackboneKind, BackboneSpec};
use crate::layers::ConvBlock;
use crate::params::Params;
use crate::phase::Phase;

/// The four-block backbone.
#[derive(Debug)]
pub struct Conv4 {
    kind: BackboneKind,
    width: i64,
    params: Params,
    input: Input,
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
    /// Fresh weights from `rng`. The kind is one of the three Conv-4 kinds.
    pub(super) fn new(spec: &BackboneSpec, rng: &mut ChaCha8Rng, device: Device) -> Self {
        let BackboneSpec { kind, width, norm, precision } = *spec;
        let mut params = Params::new(device).computing_in(precision);
        let blocks = std::array::from_fn(|index| {
            let input = if index == 0 { 3 } else { width };
            ConvBlock::new(&mut params, &format!("block{}", index + 1), (input, width), rng)
        });
        let input = Input::new(&mut params, norm, IMAGENET);
        Conv4 { kind, width, params, input, blocks }
    }
}

impl Backbone for Conv4 {
    fn kind(&self) -> BackboneKind {
        self.kind
    }

    fn input(&self) -> &Input {
        &self.input
    }

    fn map_after(&self, layers: usize, params: &Params, x: &Tensor, phase: Phase) -> Tensor {
        let blocks = self.blocks.iter().zip(layout(self.kind)).take(layers);
        let map = blocks.fold(x.shallow_clone(), |map, (block, layout)| block.forward(params, &map, layout, phase));
        map.to_kind(Kind::Float)
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
