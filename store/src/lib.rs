//! Content-addressed artifacts: what was computed is found again, whole or not at all.
//!
//! A [`Request`] says what is wanted, its [`Fingerprint`] identifies it. Artifacts are blobs, identified by the
//! [`Digest`] of their bytes. A [`Manifest`] ties a fingerprint to its blobs and is written last. The formats, and the
//! reason for every sync, stand in `README.md`. Deliberately absent: tensors, SQL, printing, the environment.
//!
//! ```
//! use std::collections::BTreeMap;
//!
//! use mlsm_store::{Access, Field, Request, Store};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let store = Store::open(&folder.path().join("store"), Access::ReadWrite)?;
//! let recipe = vec![Field { key: "size_px".to_owned(), value: 84i64.into() }];
//! let request = Request { stage: "resize".to_owned(), version: 1, recipe, inputs: Vec::new() };
//! assert!(store.lookup(&request.fingerprint())?.is_none(), "nobody has computed it");
//!
//! let outputs = BTreeMap::from([("pixels".to_owned(), store.put(b"84 by 84")?)]);
//! store.commit(request.clone(), outputs, BTreeMap::new())?;
//! let found = store.lookup(&request.fingerprint())?.expect("it was committed");
//! assert_eq!(&store.open_blob(&found.outputs["pixels"].digest)?[..], b"84 by 84");
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make files and measure"))]

mod aside;
mod at_work;
mod blob;
mod checkpoint;
mod contents;
mod datasets;
mod digest;
mod disk;
mod durable;
mod encoding;
mod error;
mod faults;
mod gc;
mod glance;
mod index;
mod lock;
mod manifest;
mod objects;
mod open;
mod patience;
mod pending;
mod published;
mod request;
mod runs;
mod seal;
mod stat;
mod stat_cache;
mod store;
mod sweep;
mod tables;
mod untouched;
mod upstream;
mod user_file;
mod uses;
mod verify;

#[cfg(test)]
mod tests;

pub use blob::{Blob, BlobWriter};
pub use digest::{Digest, Fingerprint, ParseHexError};

pub use error::StoreError;
pub use faults::{ParseTrialError, Trial};
pub use gc::{GcOptions, GcPlan, Inventory, Pin, Stored};
pub use glance::Glance;
pub use lock::{Holder, LockGuard};
pub use manifest::{Answer, Manifest, Output};
pub use objects::{Object, Objects, OpenObjects, is_address};
pub use open::{Access, FORMAT};
pub use patience::Patience;
pub use published::Published;
pub use request::{Difference, Field, Input, Request, Value};
pub use runs::{NodeRecord, RunLog, RunRecord, always_kept};
pub use stat_cache::StatCache;
pub use store::Store;
pub use tables::{Publication, TableSource, WriteTable};
pub use upstream::{Listing, Presence, Upstream, side_by_side};
pub use user_file::{publish_file, publish_stream, standard_stream};
pub use uses::{LastUse, Recording};
pub use verify::{Finding, VerifyOptions};
