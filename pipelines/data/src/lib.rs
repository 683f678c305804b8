//! Datasets, splits, episodes and image decoding: everything between a folder of photos and the lists
//! and pixels that a stage works on.
//!
//! Deliberately absent: tensors, the artifact store, the terminal and the environment. Nothing here keeps
//! state or reads a clock; all randomness comes from [`streams`].

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make files and measure"))]

pub mod archive;
mod brief;
pub mod dataset;
pub mod decode;
pub mod episodes;
mod error;
mod ids;
pub mod looks;
mod part;
pub mod resize;
mod shards;
pub mod splits;
pub mod streams;
pub mod synthetic;

pub use dataset::{
    BoundingBox, Class, Dataset, LeftOut, Links, ListedFiles, OpenOptions, OwnPhotos, Photo, ReadFile, Reason, counted,
};
pub use decode::{ImageProblem, RgbImage};
pub use episodes::{Accuracy, Episode, EpisodeSpec, Pool, mean_ci, paired};
pub use error::DataError;
pub use ids::{ClassId, ImageId};
pub use part::{Part, TrainPart};
pub use shards::{Shard, ShardOptions, shards};
pub use splits::SplitRule;
