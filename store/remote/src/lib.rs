//! Stores that machines share: an object store behind a local one that serves as its cache, and what moves answers between
//! stores.
//!
//! A [`Bucket`] is an [`mlsm_store::Upstream`]: answers are fetched from it before they are computed, and offered to it when
//! they were. [`push`] and [`pull`] move answers between a store and any [`Peer`], a bucket or another local store.
//! A bucket is verified, repaired and collected as a local store is. Deliberately absent: the environment (credentials are
//! handed in) and printing.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make files and measure"))]

mod address;
mod answers;
mod artifacts;
mod bucket;
mod lease;
mod local;
mod look;
mod peer;
mod photos;
mod transfer;
mod upkeep;

pub use bucket::Bucket;
pub use local::LocalPeer;
pub use peer::Peer;
pub use photos::PhotoBucket;
pub use transfer::{Moved, Selection, pull, push};
