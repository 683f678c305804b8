//! Few-shot episodes: which photos are support and query, and what the accuracies say.

mod accuracy;
mod pool;
mod spec;

pub use accuracy::{Accuracy, mean_ci, paired};
pub use pool::Pool;
pub use spec::{Episode, EpisodeSpec};
