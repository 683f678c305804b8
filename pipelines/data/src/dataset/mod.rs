//! A folder of labelled photos: a CUB folder, or one folder per class.
//!
//! Opening reads the lists and looks which files are there; no photo is opened. What the lists say is
//! distrusted: every number, id, count and path is checked, and an error names the file and the line.

mod bounding_box;
mod cub;
mod folders;
mod left_out;
mod lines;
mod own;
mod presence;
mod tree;
mod walk;

#[cfg(test)]
mod tests;

pub use bounding_box::BoundingBox;
pub(crate) use folders::NAMED;
pub use left_out::{LeftOut, Reason, counted};
pub use own::OwnPhotos;
pub use tree::{ListedFiles, ReadFile};
pub(crate) use walk::is_photo_name;

use crate::{ClassId, DataError, ImageId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One labelled photo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Photo {
    /// Its id.
    pub image_id: ImageId,
    /// The class it shows.
    pub class_id: ClassId,
    /// Path below [`Dataset::images_root`], with forward slashes.
    pub path: String,
    /// Where the object is, if the dataset says so; may overshoot the photo's edge, as some of CUB's do.
    pub bbox: Option<BoundingBox>,
}

/// One class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// Its id.
    pub class_id: ClassId,
    /// Its name, such as `001.Black_footed_Albatross`.
    pub name: String,
}

/// How to open a dataset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// Whether an absent photo is an error. Otherwise it is left out and counted in [`Dataset::absent`].
    pub strict: bool,
    /// Whether links below class folders are followed. Otherwise they are left out and listed.
    pub follow_links: bool,
}

impl OpenOptions {
    fn links(&self) -> Links {
        if self.follow_links { Links::Followed } else { Links::LeftOut }
    }
}

/// What becomes of links below class folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// They are followed, each place once.
    Followed,
    /// They are left out and listed.
    LeftOut,
}

/// The lists of a dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// The folder that the paths of the photos start from.
    pub images_root: PathBuf,
    /// The classes by id; one without photos is possible.
    pub classes: Vec<Class>,
    /// The photos that are there, by id.
    pub photos: Vec<Photo>,
    /// Number of photos that are listed but have no file.
    pub absent: usize,
    /// Path of the first such photo below `images_root`.
    pub first_absent: Option<String>,
    /// What lies below class folders, or beside them, and is no photo of the data set.
    pub left_out: Vec<LeftOut>,
    /// Positions in `photos`, by class.
    by_class: BTreeMap<ClassId, Vec<usize>>,
}

impl Dataset {
    /// Opens the dataset in a folder.
    ///
    /// A CUB folder holds `images.txt`, `image_class_labels.txt`, `classes.txt`, optionally
    /// `bounding_boxes.txt`, and the folder `images`; it is `path` itself or `path/CUB_200_2011`.
    /// `train_test_split.txt` is not read: few-shot splits go by class. Anything else is taken as class
    /// folders, `path/<class>/…/photo`, at any depth below the class; what is no photo is listed in
    /// [`Dataset::left_out`].
    ///
    /// # Errors
    /// [`DataError::NoDataset`], [`DataError::Malformed`], [`DataError::Incomplete`] and
    /// [`DataError::OutsideRoot`] when the lists cannot be trusted, [`DataError::AbsentPhotos`] when a photo
    /// is absent and the options are strict, [`DataError::ClassWithoutPhotos`] when a class loses all its photos,
    /// [`DataError::Io`] when the file system refuses.
    pub fn open(path: &Path, options: &OpenOptions) -> Result<Dataset, DataError> {
        check_folder(path)?;
        match cub::find(path) {
            Some(below) => cub::open(path, below, options),
            None => folders::open(path, options),
        }
    }

    /// Opens the dataset that an object store has below a place, as [`Dataset::open`] does one in a folder.
    ///
    /// # Errors
    /// As [`Dataset::open`].
    pub fn open_listed(files: &ListedFiles<'_>, options: &OpenOptions) -> Result<Dataset, DataError> {
        match cub::find(files) {
            Some(below) => cub::open(files, below, options),
            None => folders::open_listed(files),
        }
    }

    /// Puts lists together that are already checked; sorts them by id.
    pub fn new(images_root: PathBuf, mut classes: Vec<Class>, mut photos: Vec<Photo>) -> Dataset {
        classes.sort_by_key(|class| class.class_id);
        photos.sort_by_key(|photo| photo.image_id);
        let mut by_class = BTreeMap::<ClassId, Vec<usize>>::new();
        for (position, photo) in photos.iter().enumerate() {
            by_class.entry(photo.class_id).or_default().push(position);
        }
        Dataset { images_root, classes, photos, absent: 0, first_absent: None, left_out: Vec::new(), by_class }
    }

    /// The photos of a class, by id; none when there is no such class.
    pub fn in_class(&self, class_id: ClassId) -> impl Iterator<Item = &Photo> {
        self.by_class.get(&class_id).into_iter().flatten().map(|&position| &self.photos[position])
    }

    /// The ids of all classes, in order.
    pub fn class_ids(&self) -> Vec<ClassId> {
        self.classes.iter().map(|class| class.class_id).collect()
    }

    /// The class of that id.
    pub fn class(&self, class_id: ClassId) -> Option<&Class> {
        let position = self.classes.binary_search_by_key(&class_id, |class| class.class_id).ok()?;
        Some(&self.classes[position])
    }

    /// The photo of that id.
    pub fn photo(&self, image_id: ImageId) -> Option<&Photo> {
        let position = self.photos.binary_search_by_key(&image_id, |photo| photo.image_id).ok()?;
        Some(&self.photos[position])
    }
}

fn check_folder(path: &Path) -> Result<(), DataError> {
    let refuse = |why: &str, fix| Err(DataError::NoDataset { path: path.to_owned(), why: why.into(), fix });
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => refuse("it is a file, not a folder", "extract the archive and give the folder it makes"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            refuse("there is no such folder", "correct the path, or download the dataset")
        }
        Err(error) => Err(DataError::io("open", path, error)),
    }
}
