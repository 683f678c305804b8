//! Stores that machines share: an object store behind a local one that serves as its cache, and what moves answers between
//! stores.
//!
//! A [`Bucket`] is an [`mlsm_store::Upstream`]: answers are fetched from it before they are computed, and offered to it when
//! they were. [`push`] and [`pull`] move answers between a store and any [`Peer`], a bucket or another local store.
//! Deliberately absent: the environment (credentials are handed in), printing, collection of what a bucket holds.

mod bucket;
mod lease;
mod local;
mod peer;
mod transfer;

pub use bucket::Bucket;
pub use local::LocalPeer;
pub use peer::Peer;
pub use transfer::{Moved, Selection, pull, push};
