//! The nearest class mean that a learnt similarity may start from, so that learning corrects it instead of replacing it.
//!
//! Embeddings of image and object are centred on the base classes' mean and scaled to length 1 (CL2N: Wang et al. 2019,
//! "SimpleShot"); a query's score is minus the squared distance to the class mean, times a learnt factor. With the
//! similarity net at zero this is CL2N itself.

use tch::{Device, Kind, Tensor};

use super::prototypes::cl2n;
use crate::params::{Params, Role, Slot};

/// The factor before training: squared distances of unit vectors differ by tenths.
const FACTOR: f64 = 10.0;

#[derive(Debug)]
pub(super) struct Anchor {
    side: i64,
    means: [Option<Slot>; 2],
    factor: Slot,
}

impl Anchor {
    /// `side`: maps are averaged to so many positions a side; `uses`: whether image and object are looked at.
    pub(super) fn new(params: &mut Params, channels: i64, side: i64, uses: [bool; 2]) -> Self {
        let zeros = Tensor::zeros([channels * side * side], (Kind::Float, Device::Cpu));
        let names = ["anchor.image_mean", "anchor.object_mean"];
        let means = [0, 1].map(|i| uses[i].then(|| params.add(names[i], &zeros, Role::Buffer)));
        let factor = params.add("anchor.factor", &Tensor::from_slice(&[FACTOR as f32]), Role::Trainable);
        Anchor { side, means, factor }
    }

    /// The embedding of maps `[n, c, h, w]`, not normalised: `[n, c * side * side]`.
    pub(super) fn embedding(&self, map: &Tensor) -> Tensor {
        map.adaptive_avg_pool2d([self.side, self.side]).flatten(1, -1)
    }

    /// Stores the base classes' mean embeddings, of image and object.
    pub(super) fn set_means(&self, params: &Params, means: [Option<&Tensor>; 2]) {
        let _guard = tch::no_grad_guard();
        for (slot, mean) in self.means.iter().zip(means) {
            if let (Some(slot), Some(mean)) = (slot, mean) {
                params.at(*slot).shallow_clone().copy_(mean);
            }
        }
    }

    /// The unit vectors of image and object side by side: `[n, length]`.
    pub(super) fn vectors(&self, params: &Params, maps: [Option<&Tensor>; 2]) -> Tensor {
        let sides = self.means.iter().zip(maps).filter_map(|(slot, map)| {
            let slot = (*slot)?;
            Some(cl2n(&self.embedding(map.expect("the level's map was given")), params.at(slot)))
        });
        Tensor::cat(&sides.collect::<Vec<_>>(), 1)
    }

    /// The length of a vector for maps of so many channels.
    pub(super) fn length(&self, channels: i64) -> i64 {
        self.means.iter().flatten().count() as i64 * channels * self.side * self.side
    }

    /// Minus the squared distances to class means, times the factor: `[q, n_way]`.
    pub(super) fn scores(&self, params: &Params, classes: &Tensor, queries: &Tensor) -> Tensor {
        let squares = |rows: &Tensor| rows.square().sum_dim_intlist([1i64].as_slice(), true, Kind::Float);
        let apart =
            squares(queries) + squares(classes).transpose(0, 1) - queries.matmul(&classes.transpose(0, 1)) * 2.0;
        -apart * params.at(self.factor)
    }
}
