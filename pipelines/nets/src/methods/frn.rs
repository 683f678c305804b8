//! Feature map reconstruction: a query belongs to the class whose support maps reconstruct its map best.
//!
//! Source: Wertheimer, Tang and Hariharan 2021 ("Few-Shot Classification with Feature Map Reconstruction Networks"), eq. 3
//! to 7 in the form that solves a system of as many equations as channels (eq. 8). Without the auxiliary loss of its
//! section 4.2.

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::{Described, Head, Method, Reads, Shape, Support};
use crate::backbone::BackboneKind;
use crate::params::{Params, Role, Slot};
use crate::phase::Phase;

/// The switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FrnOptions {
    /// What distances are multiplied by when training begins.
    pub scale: f64,
}

impl Default for FrnOptions {
    fn default() -> Self {
        Self { scale: 1.0 }
    }
}

/// The method.
#[derive(Debug)]
pub struct Frn {
    params: Params,
    channels: i64,
    alpha: Slot, // [1]: the logarithm of the penalty
    beta: Slot,  // [1]: the logarithm of the reconstruction's factor
    scale: Slot, // [1]
    divisor: f64,
}

struct Reconstruction<'a> {
    method: &'a Frn,
    projections: Tensor, // [n_way, c, c]
}

impl Described for Frn {
    type Options = FrnOptions;
    const NAME: &'static str = "frn";
    const READS: Reads = Reads::Maps;
    const SOURCE: &'static str = "Wertheimer et al. 2021, eq. 3 to 8";

    fn check(options: &Self::Options) -> Result<(), (&'static str, String)> {
        super::positive("scale", options.scale)
    }

    fn make(options: Self::Options, shape: &Shape, _rng: &mut ChaCha8Rng, device: Device) -> Self {
        let mut params = Params::new(device);
        let mut number =
            |name: &str, value: f64| params.add(name, &Tensor::from_slice(&[value as f32]), Role::Trainable);
        let (alpha, beta, scale) = (number("alpha", 0.0), number("beta", 0.0), number("scale", options.scale));
        // Maps of ResNet-12 are divided by √640 in the authors' code, those of Conv-4 are not.
        let is_resnet = shape.backbone.kind == BackboneKind::ResNet12;
        let divisor = if is_resnet { (shape.channels as f64).sqrt() } else { 1.0 };
        Self { params, channels: shape.channels, alpha, beta, scale, divisor }
    }
}

impl Frn {
    /// Flattened maps `[n, c·r]` as the vectors of their positions: `[n, r, c]`.
    fn positions(&self, rows: &Tensor) -> Tensor {
        rows.reshape([rows.size()[0], self.channels, -1]).transpose(1, 2)
    }
}

impl Method for Frn {
    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    fn represent(&self, image: Option<&Tensor>, _object: Option<&Tensor>, _phase: Phase) -> Tensor {
        image.expect("the images were given").flatten(1, -1) / self.divisor
    }

    fn head<'a>(&'a self, support: &Support<'_>, _phase: Phase) -> Box<dyn Head + 'a> {
        let pool = self.positions(support.rows).reshape([support.n_way, -1, self.channels]); // [n_way, k·r, c]
        let products = pool.transpose(1, 2).matmul(&pool); // [n_way, c, c]
        let share = pool.size()[1] as f64 / self.channels as f64;
        let penalty = self.params.at(self.alpha).exp() * share + 1e-6;
        let penalty = Tensor::eye(self.channels, (pool.kind(), pool.device())) * penalty;
        let projections = Tensor::linalg_solve(&(&products + penalty), &products, true);
        Box::new(Reconstruction { method: self, projections: projections * self.params.at(self.beta).exp() })
    }
}

impl Head for Reconstruction<'_> {
    fn scores(&self, queries: &Tensor) -> Tensor {
        let Self { method, projections } = self;
        let positions = method.positions(queries); // [q, r, c]
        let (q, r) = (positions.size()[0], positions.size()[1]);
        let flat = positions.reshape([1, q * r, method.channels]);
        let apart = (flat.matmul(projections) - &flat).square(); // [n_way, q·r, c]
        let distances = apart.sum_dim_intlist([2i64].as_slice(), false, Kind::Float).reshape([-1, q, r]);
        -distances.mean_dim([2i64].as_slice(), false, Kind::Float).tr() * method.params.at(method.scale)
    }
}
