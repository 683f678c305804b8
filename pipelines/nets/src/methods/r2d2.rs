//! R2-D2: ridge regression of the support labels, solved in closed form, whose penalty is learnt.
//!
//! Source: Bertinetto, Henriques, Torr and Vedaldi 2019 ("Meta-learning with differentiable closed-form solvers"), eq. 6
//! (a system of as many equations as support images) and 7; from the authors' code that embeddings get a column of ones,
//! and labels are divided by √(ways · shots). The offset of eq. 7 is the same for every class and changes neither a softmax
//! nor its slopes, so it is left out.

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::{Described, Head, Method, Reads, Shape, Support};
use crate::params::{Params, Role, Slot};
use crate::phase::Phase;

/// The switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct R2d2Options {
    /// The penalty when training begins.
    pub lambda: f64,
    /// What predictions are multiplied by when training begins.
    pub scale: f64,
}

impl Default for R2d2Options {
    fn default() -> Self {
        Self { lambda: 1.0, scale: 1.0 }
    }
}

/// The method.
#[derive(Debug)]
pub struct R2d2 {
    params: Params,
    log_lambda: Slot, // [1]
    scale: Slot,      // [1]
}

struct Ridge<'a> {
    method: &'a R2d2,
    weights: Tensor, // [d + 1, n_way]
}

impl Described for R2d2 {
    type Options = R2d2Options;
    const NAME: &'static str = "r2d2";
    const READS: Reads = Reads::Embeddings;
    const SOURCE: &'static str = "Bertinetto et al. 2019, eq. 6 and 7";

    fn check(options: &Self::Options) -> Result<(), (&'static str, String)> {
        super::positive("lambda", options.lambda)?;
        super::positive("scale", options.scale)
    }

    fn make(options: Self::Options, _shape: &Shape, _rng: &mut ChaCha8Rng, device: Device) -> Self {
        let mut params = Params::new(device);
        let mut number =
            |name: &str, value: f64| params.add(name, &Tensor::from_slice(&[value as f32]), Role::Trainable);
        let (log_lambda, scale) = (number("log_lambda", options.lambda.ln()), number("scale", options.scale));
        Self { params, log_lambda, scale }
    }
}

impl Method for R2d2 {
    fn params(&self) -> &Params {
        &self.params
    }

    fn params_mut(&mut self) -> &mut Params {
        &mut self.params
    }

    fn head<'a>(&'a self, support: &Support<'_>, _phase: Phase) -> Box<dyn Head + 'a> {
        let rows = &with_ones(support.rows);
        let images = rows.size()[0] as f64;
        let truth = support.labels().one_hot(support.n_way).to_kind(rows.kind()) / images.sqrt();
        let penalty = Tensor::eye(rows.size()[0], (rows.kind(), rows.device())) * self.params.at(self.log_lambda).exp();
        let kernel = rows.matmul(&rows.tr()) + penalty; // [n, n]
        let weights = rows.tr().matmul(&Tensor::linalg_solve(&kernel, &truth, true));
        Box::new(Ridge { method: self, weights })
    }
}

impl Head for Ridge<'_> {
    fn scores(&self, queries: &Tensor) -> Tensor {
        with_ones(queries).matmul(&self.weights) * self.method.params.at(self.method.scale)
    }
}

/// `[n, d]` with a column of ones behind: `[n, d + 1]`.
fn with_ones(rows: &Tensor) -> Tensor {
    Tensor::cat(&[rows, &rows.narrow(1, 0, 1).ones_like()], 1)
}
