//! All that must be read, drawn, unpacked or hashed before a graph can be assembled: the scene.
//!
//! This is the work with a disk, a store, progress and a request to stop, so that `assemble` needs none of them.

pub(crate) mod bucket;
mod kept;
mod photo_list;
pub(crate) mod photos;
mod weights;

use std::collections::BTreeMap;
use std::path::Path;

use mlsm_data::OwnPhotos;
use mlsm_engine::{Cancel, Event, InputSource, Subscriber};
use mlsm_errors::{Explanation, Fix};
use mlsm_store::{Digest, OpenObjects, Store};

use crate::AssembleError;
use crate::config::Config;

pub use photo_list::{ListedScene, Needed, PhotoList};
pub use photos::Source;

/// What a scene is prepared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To look at: photos that do not exist yet are shown as work to do, nothing is drawn.
    Plan,
    /// To run: a synthetic data set is drawn, and photos must exist.
    Run,
}

/// What a preparation works with.
#[derive(Clone, Copy)]
pub struct Preparation<'a> {
    /// Where drawn and unpacked photos are kept.
    pub store: &'a Store,
    /// What it is for.
    pub purpose: Purpose,
    /// The request to stop.
    pub cancel: &'a Cancel,
    /// Who shows the progress.
    pub subscriber: &'a dyn Subscriber,
    /// Who opens photos in a bucket.
    pub objects: OpenObjects<'a>,
}

/// What a configuration refers to, as far as it exists: all that a graph depends on beside the configuration.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The photos.
    pub source: Source,
    /// The text of `splits.file`.
    pub split: Option<String>,
    /// Imported weights by base CNN.
    pub weights: BTreeMap<String, InputSource>,
}

impl Preparation<'_> {
    fn check(&self) -> Result<(), AssembleError> {
        if self.cancel.is_cancelled() { Err(AssembleError::Cancelled) } else { Ok(()) }
    }

    fn progress(&self, done: u64, total: u64, unit: &str, detail: &str) {
        let (node, unit, detail) = ("data".to_owned(), unit.to_owned(), detail.to_owned());
        self.subscriber.on(&Event::Progress { node, done, total, unit, detail });
    }
}

/// Reads, draws or unpacks what a configuration refers to.
///
/// # Errors
/// [`AssembleError`]: photos, split or weights that cannot be used, a store that refuses, or [`AssembleError::Cancelled`].
pub fn prepare(config: &Config, with: &Preparation<'_>) -> Result<Scene, AssembleError> {
    whole(config, photos::open(config, with)?, with)
}

/// The same beside a user's own photos.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_beside(own: OwnPhotos, config: &Config, with: &Preparation<'_>) -> Result<Scene, AssembleError> {
    whole(config, photos::open_beside(own, config, with)?, with)
}

fn whole(config: &Config, source: Source, with: &Preparation<'_>) -> Result<Scene, AssembleError> {
    with.check()?;
    let file = config.splits.file.as_deref().filter(|_| config.splits.rule == "file");
    let split = file.map(read_split).transpose()?;
    let mut weights = BTreeMap::new();
    for (name, section) in &config.train_base {
        if section.weights != "none" && !config.is_shape_only(name) {
            weights.insert(name.clone(), weights::find(section, with)?);
        }
    }
    Ok(Scene { source, split, weights })
}

/// Returns the digests of the weights that a configuration imports, as far as they are there.
///
/// # Errors
/// [`AssembleError`]: weights that cannot be used.
pub fn imported_weights(config: &Config, with: &Preparation<'_>) -> Result<BTreeMap<String, Digest>, AssembleError> {
    let mut found = BTreeMap::new();
    for (name, section) in config.train_base.iter().filter(|(_, section)| section.weights != "none") {
        if let InputSource::Known(digest) = weights::find(section, with)? {
            found.insert(name.clone(), digest);
        }
    }
    Ok(found)
}

fn read_split(file: &Path) -> Result<String, AssembleError> {
    std::fs::read_to_string(file).map_err(|e| {
        let said = Explanation::new(format!("cannot read the split {}", file.display())).because(e.to_string());
        AssembleError::Config(said.fix(Fix::other("splits.file")))
    })
}
