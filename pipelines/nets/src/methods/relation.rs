//! Relation Networks: a small convolution net says how alike the maps of a query and of a class are.
//!
//! Source: Sung et al. 2018, eq. 1 and 2; the layout and the first weights of its linear layers from the authors' code
//! (LearningToCompare_FSL). The net is the one that MLSM keeps with `fusion = "map"`, on the level I alone.

use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::mlsm_options::{Fusion, Levels, Loss, MlsmOptions, Pair, ShotPool};
use super::{Described, Head, Method, Mlsm, Reads, Shape, Support};
use crate::draw::{normal_tensor, stream_of};
use crate::params::Params;
use crate::phase::Phase;

/// The switches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RelationOptions {
    /// What training minimises.
    pub loss: Loss,
    /// How the maps of a class's shots become one.
    pub shot_pool: ShotPool,
    /// Units of the hidden linear layer.
    pub hidden: i64,
}

impl Default for RelationOptions {
    fn default() -> Self {
        Self { loss: Loss::Mse, shot_pool: ShotPool::Sum, hidden: 8 }
    }
}

/// The method.
#[derive(Debug)]
pub struct Relation(Mlsm);

impl Described for Relation {
    type Options = RelationOptions;
    const NAME: &'static str = "relation";
    const READS: Reads = Reads::Maps;
    const SOURCE: &'static str = "Sung et al. 2018, eq. 1 and 2";

    fn check(options: &Self::Options) -> Result<(), (&'static str, String)> {
        super::positive("hidden", options.hidden as f64)
    }

    fn make(options: Self::Options, shape: &Shape, rng: &mut ChaCha8Rng, device: Device) -> Self {
        let RelationOptions { loss, shot_pool, hidden } = options;
        let levels = Levels { image: true, global: false, object: false };
        let net = MlsmOptions {
            levels,
            loss,
            shot_pool,
            channels: shape.channels,
            sim_hidden: vec![hidden],
            pair: Pair::Concat,
            fusion: Fusion::Map,
            ..MlsmOptions::default()
        };
        let mlsm = Mlsm::new(net, rng, device);
        let _guard = tch::no_grad_guard();
        for (name, mut tensor) in mlsm.params().trainable() {
            if name.starts_with("similarity.") && name.ends_with("weight") {
                tensor.copy_(&normal_tensor(&mut stream_of(rng, &name), &tensor.size(), 0.01));
            } else if name.starts_with("similarity.") {
                let _ = tensor.fill_(1.0);
            }
        }
        Self(mlsm)
    }
}

impl Method for Relation {
    fn params(&self) -> &Params {
        self.0.params()
    }

    fn params_mut(&mut self) -> &mut Params {
        self.0.params_mut()
    }

    fn represent(&self, image: Option<&Tensor>, _object: Option<&Tensor>, phase: Phase) -> Tensor {
        Method::represent(&self.0, image, None, phase)
    }

    fn head<'a>(&'a self, support: &Support<'_>, phase: Phase) -> Box<dyn Head + 'a> {
        self.0.head(support, phase)
    }

    fn episode_loss(&self, support: &Support<'_>, queries: &Tensor, labels: &Tensor) -> Tensor {
        self.0.episode_loss(support, queries, labels)
    }
}
