//! Few-shot methods, one file each: how labelled support maps or vectors turn into scores for queries.

mod anchor;
mod mlsm;
mod mlsm_options;
mod prototypes;

pub use mlsm::{Mlsm, VECTOR};
pub use mlsm_options::{FuseNorm, Fusion, FusionPoint, GapSource, Levels, Loss, MlsmOptions, Pair, ShotPool};
pub use prototypes::{Metric, cl2n, class_mean_scores, class_means};
