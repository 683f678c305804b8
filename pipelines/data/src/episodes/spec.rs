//! What an episode is made of.

use crate::{ClassId, DataError, ImageId};
use serde::{Deserialize, Serialize};

/// A kind of episodes; with an index it is one episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpisodeSpec {
    /// Classes of an episode.
    pub n_way: usize,
    /// Support photos of each class.
    pub k_shot: usize,
    /// Query photos of each class.
    pub n_query: usize,
    /// Seed of the draws.
    pub seed: u64,
}

impl EpisodeSpec {
    /// Photos that an episode takes of each class.
    pub fn photos_per_class(&self) -> usize {
        self.k_shot.saturating_add(self.n_query)
    }

    /// Checks the numbers themselves.
    ///
    /// # Errors
    /// [`DataError::Invalid`] when there is nothing to tell apart, to learn from or to ask.
    pub fn check(&self) -> Result<(), DataError> {
        let checks = [("n_way", self.n_way, 2), ("k_shot", self.k_shot, 1), ("n_query", self.n_query, 1)];
        match checks.into_iter().find(|&(_, value, least)| value < least) {
            None => Ok(()),
            Some((key, value, least)) => Err(DataError::invalid(
                format!("`{key}` = {value}"),
                "an episode tells classes apart, learns from support photos and is asked about query photos",
                format!("set it to {least} or more"),
            )),
        }
    }
}

/// One episode. The position of a class in `classes` is its label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    /// The classes, in random order: `[n_way]`.
    pub classes: Vec<ClassId>,
    /// The labelled photos: `[n_way][k_shot]`.
    pub support: Vec<Vec<ImageId>>,
    /// The photos to be recognised: `[n_way][n_query]`; none is in `support`.
    pub query: Vec<Vec<ImageId>>,
}
