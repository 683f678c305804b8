//! Datasets, splits, episodes and image decoding.
