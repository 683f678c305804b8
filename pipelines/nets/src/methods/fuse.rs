//! How the levels of MLSM are summed: what each is scaled by, so that a level that says nothing new costs nothing.
//!
//! The paper's eq. 5 is the plain sum. It grows with the number of levels: the product of two sums of three levels is
//! larger than that of two levels, and the similarity net learns faster and coarser for that alone.

use tch::{Device, Kind, Tensor};

use super::mlsm_options::{FuseNorm, Levels};
use crate::params::{Params, Role, Slot};

/// The names of the levels, in the order in which they are summed.
const NAMES: [&str; 3] = ["image", "global", "object"];
/// The place of the level G.
const GLOBAL: usize = 1;
/// The place of the level O.
const OBJECT: usize = 2;

/// What scales the levels.
#[derive(Debug)]
pub(super) struct Fuse {
    kind: FuseNorm,
    on: [bool; 3],
    /// Layer normalisation's scale and shift of each level, or its one factor.
    slots: [Vec<Slot>; 3],
    /// The share of O beside I, before a sigmoid.
    gate: Option<Slot>,
}

impl Fuse {
    /// `length`: of a level's vector.
    pub(super) fn new(params: &mut Params, kind: FuseNorm, levels: Levels, length: i64) -> Self {
        let on = [levels.image, levels.global, levels.object];
        let ones = |length| Tensor::ones([length], (Kind::Float, Device::Cpu));
        let mut slots = |level: usize| match kind {
            FuseNorm::LayerNorm => {
                let name = NAMES[level];
                let weight = params.add(format!("fuse.{name}.weight"), &ones(length), Role::Trainable);
                vec![weight, params.add(format!("fuse.{name}.bias"), &ones(length).zeros_like(), Role::Trainable)]
            }
            FuseNorm::Scalars => {
                vec![params.add(format!("fuse.{}.factor", NAMES[level]), &ones(1), Role::Trainable)]
            }
            FuseNorm::None | FuseNorm::Mean | FuseNorm::MapMean | FuseNorm::Gate => Vec::new(),
        };
        let slots = [0, 1, 2].map(|level| if on[level] { slots(level) } else { Vec::new() });
        let is_gated = kind == FuseNorm::Gate && levels.image && levels.object;
        let gate = is_gated.then(|| params.add("fuse.gate", &ones(1).zeros_like(), Role::Trainable));
        Fuse { kind, on, slots, gate }
    }

    /// Normalises one level, `[n, …]`, where that is asked for.
    pub(super) fn normalised(&self, params: &Params, level: usize, x: &Tensor) -> Tensor {
        match self.slots[level].as_slice() {
            [] => x.shallow_clone(),
            [factor] => x * params.at(*factor),
            [weight, bias, ..] => {
                x.layer_norm([x.size()[1]], Some(params.at(*weight)), Some(params.at(*bias)), 1e-5, true)
            }
        }
    }

    /// Sums what each level that is on gives, in their order: vectors, or scores. The maps are added up first, so that an
    /// object that is the image itself changes no bit of the sum where maps are averaged.
    pub(super) fn sum(&self, params: &Params, parts: impl IntoIterator<Item = Tensor>) -> Tensor {
        let levels = (0..NAMES.len()).filter(|level| self.on[*level]);
        let weighted = levels.zip(parts).map(|(level, part)| (level, self.weighted(params, level, part)));
        let (global, maps): (Vec<_>, Vec<_>) = weighted.partition(|(level, _)| *level == GLOBAL);
        let parts = maps.into_iter().chain(global).map(|(_, part)| part);
        parts.reduce(|a, b| a + b).expect("levels hold at least one")
    }

    fn weighted(&self, params: &Params, level: usize, part: Tensor) -> Tensor {
        let has_both_maps = self.on[0] && self.on[OBJECT];
        let is_map = level != GLOBAL;
        match (self.kind, self.gate) {
            (FuseNorm::Mean, _) => part / self.on.iter().filter(|on| **on).count() as f64,
            (FuseNorm::MapMean, _) if has_both_maps && is_map => part / 2.0,
            (_, Some(gate)) if is_map => {
                let share = params.at(gate).sigmoid();
                part * if level == OBJECT { share } else { 1.0 - share }
            }
            _ => part,
        }
    }
}
