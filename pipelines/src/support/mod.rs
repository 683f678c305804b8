//! A support file: what a row has stored of labelled photos, so that it predicts without them.
//!
//! It holds the features that the row reads, the networks by which the photos asked for get theirs, the names of classes
//! and photos, and the configuration. Neither pixels of photos nor code are in it. Weights that `mlsm weights fetch` gives
//! are named by their digest.

mod error;
mod file;
mod gather;
mod recipes;
mod rows;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mlsm_data::{Class, ClassId, DataError, ImageId, Links, OwnPhotos, Photo};
use mlsm_store::Digest;
use serde::{Deserialize, Serialize};

pub use error::SupportError;
pub use gather::{Made, refuse_pixels};
pub(crate) use rows::Rows;

use self::recipes::Recipe;
use crate::AssembleError;
use crate::config::Config;

/// The form of the file; one that is newer is refused.
const FORMAT: u32 = 1;

/// The contents of a support file.
#[derive(Clone, Debug, PartialEq)]
pub struct Support {
    /// Where it was read from, or will be written to.
    path: PathBuf,
    about: About,
    /// Rows of features by the node, the aspect and the output that made them.
    rows: BTreeMap<[String; 3], Rows>,
    /// Artifacts of nodes that have no shards, in the order of [`About::wholes`]; of named weights there is none.
    wholes: Vec<Option<Vec<u8>>>,
    /// The classes of base photos that have rows.
    base: BTreeMap<ImageId, ClassId>,
}

/// Which photos of a scene are new to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewPhotos {
    /// Those whose class is asked for.
    AskedFor,
    /// Labelled ones that are to join it.
    Joining,
}

/// What the file says of itself, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    format: u32,
    /// The version of the program that wrote it.
    program: String,
    /// The name of the configuration.
    preset: String,
    /// The row that predicts.
    row: String,
    /// The configuration as TOML, without paths.
    config: String,
    /// The digests of imported weights by base CNN.
    weights: BTreeMap<String, Digest>,
    /// What made the rows and the artifacts, by node and aspect.
    recipes: BTreeMap<String, Recipe>,
    /// Whether labelled photos take the place of base photos.
    labelled_are_base: bool,
    classes: Vec<Class>,
    photos: Vec<PhotoLine>,
    wholes: Vec<Whole>,
}

/// A labelled photo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PhotoLine {
    image_id: ImageId,
    class_id: ClassId,
    /// Below the folder that it came from.
    path: String,
    digest: Digest,
}

/// An artifact of a node without shards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    node: String,
    unit: String,
    output: String,
    digest: Digest,
    /// The text that the artifact has beside its tensors.
    text: String,
    /// The name under which the store has it, where it is fetched weights.
    weights: Option<String>,
    /// Whether it was learnt from the labelled photos themselves.
    from_labelled: bool,
}

impl Support {
    /// Returns the configuration that made it, without paths.
    ///
    /// # Errors
    /// [`SupportError::OtherProgram`] when this program does not know a key of it.
    pub fn config(&self) -> Result<Config, SupportError> {
        let unknown = |why: String| SupportError::OtherProgram { path: self.path.clone(), why };
        let table = self.about.config.parse().map_err(|_| unknown("its configuration is no TOML".to_owned()))?;
        Config::from_table(table).map_err(|e| unknown(format!("its configuration has `{}`: {}", e.path, e.why)))
    }

    /// Returns the name of that configuration.
    pub fn preset(&self) -> &str {
        &self.about.preset
    }

    /// Returns the row that predicts.
    pub fn row(&self) -> &str {
        &self.about.row
    }

    /// Returns the version of the program that wrote it.
    pub fn program(&self) -> &str {
        &self.about.program
    }

    /// Returns the digests of imported weights by base CNN.
    pub fn weights(&self) -> &BTreeMap<String, Digest> {
        &self.about.weights
    }

    /// Returns the names of the classes, each with the paths of its labelled photos.
    pub fn classes(&self) -> BTreeMap<&str, Vec<&str>> {
        let of_class = |class: &Class| {
            let photos = self.about.photos.iter().filter(|photo| photo.class_id == class.class_id);
            photos.map(|photo| photo.path.as_str()).collect()
        };
        self.about.classes.iter().map(|class| (class.name.as_str(), of_class(class))).collect()
    }

    /// Returns its labelled photos, beside those that are asked for.
    ///
    /// # Errors
    /// As [`OwnPhotos::open`].
    pub fn asking(&self, query: &Path, links: Links) -> Result<OwnPhotos, DataError> {
        self.labelled().asking(query, links)
    }

    /// Returns the photos of a folder that are to join its own.
    ///
    /// # Errors
    /// [`SupportError::FromLabelled`] as an error of the configuration; those of [`OwnPhotos::joining`].
    pub fn joining(&self, folder: &Path, links: Links) -> Result<OwnPhotos, AssembleError> {
        self.refuse_from_labelled()?;
        Ok(self.labelled().joining(folder, links)?)
    }

    fn labelled(&self) -> OwnPhotos {
        let photo = |line: &PhotoLine| {
            let PhotoLine { image_id, class_id, path, digest: _ } = line.clone();
            Photo { image_id, class_id, path, bbox: None }
        };
        let photos: Vec<Photo> = self.about.photos.iter().map(photo).collect();
        OwnPhotos::stored(&self.about.classes, &photos)
    }

    /// Tells whether it has a photo with this content in this class.
    pub(crate) fn has(&self, class_id: ClassId, digest: &Digest) -> bool {
        self.about.photos.iter().any(|photo| photo.class_id == class_id && photo.digest == *digest)
    }

    /// Removes classes with all their photos.
    ///
    /// # Errors
    /// [`SupportError::NoClass`] when there is none of a name, [`SupportError::TooFewClasses`] when fewer than two remain,
    /// [`SupportError::FromLabelled`].
    pub fn remove(&mut self, names: &[String]) -> Result<(), SupportError> {
        self.refuse_from_labelled()?;
        let known = || self.about.classes.iter().map(|class| class.name.clone()).collect();
        let path = self.path.clone();
        if let Some(name) = names.iter().find(|name| self.about.classes.iter().all(|class| class.name != **name)) {
            return Err(SupportError::NoClass { path, name: name.clone(), known: known() });
        }
        let remain = self.about.classes.iter().filter(|class| !names.contains(&class.name)).count();
        if remain < 2 {
            return Err(SupportError::TooFewClasses { path, remain });
        }
        let About { classes, photos, .. } = &mut self.about;
        classes.retain(|class| !names.contains(&class.name));
        let kept: BTreeSet<ClassId> = classes.iter().map(|class| class.class_id).collect();
        let gone = |photo: &PhotoLine| !kept.contains(&photo.class_id);
        let gone: BTreeSet<i64> = photos.iter().filter(|p| gone(p)).map(|p| i64::from(p.image_id.0)).collect();
        photos.retain(|photo| kept.contains(&photo.class_id));
        self.rows.values_mut().for_each(|rows| rows.retain(|id| !gone.contains(&id)));
        Ok(())
    }

    /// Refuses to change which photos there are where a network was learnt from them: others would have given another one.
    fn refuse_from_labelled(&self) -> Result<(), SupportError> {
        match self.about.wholes.iter().find(|whole| whole.from_labelled) {
            Some(Whole { node, .. }) => Err(SupportError::FromLabelled { path: self.path.clone(), node: node.clone() }),
            None => Ok(()),
        }
    }
}
