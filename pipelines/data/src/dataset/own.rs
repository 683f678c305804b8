//! Photos of one's own: some with a label, in class folders, and others whose class is asked for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::folders::{photos_below, with_ids};
use super::{Class, Dataset, OpenOptions, Photo};
use crate::{ClassId, DataError, ImageId};

/// Ids of one's own photos and classes begin here, above all that data sets give.
const FIRST: u32 = 1 << 31;
/// What paths begin with, by folder.
const SUPPORT: &str = "support/";
const QUERY: &str = "query/";

/// Labelled and unlabelled photos. Their ids follow from their paths, so that one more changes no other.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnPhotos {
    support: PathBuf,
    query: PathBuf,
    classes: Vec<Class>,
    photos: Vec<Photo>,
}

impl OwnPhotos {
    /// Lists the labelled photos of the class folders in `support` (or of a CUB folder), and all photos below `query`, at
    /// any depth; `query` may be a single photo.
    ///
    /// # Errors
    /// [`DataError::NoDataset`] when `support` has fewer than two classes or `query` no photo; those of [`Dataset::open`].
    pub fn open(support: &Path, query: &Path) -> Result<Self, DataError> {
        let labelled = Dataset::open(support, &OpenOptions { strict: true })?;
        let named: Vec<&Class> =
            labelled.classes.iter().filter(|class| labelled.in_class(class.class_id).next().is_some()).collect();
        if named.len() < 2 {
            return Err(DataError::NoDataset {
                path: support.to_owned(),
                why: "it holds photos of one class, and between one there is nothing to choose".into(),
                fix: "give a folder with one folder of labelled photos for each of two or more classes",
            });
        }
        let (query_root, asked) = match query.is_file() {
            true => {
                let name = query.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                (query.parent().unwrap_or(Path::new("")).to_owned(), vec![name])
            }
            false => (query.to_owned(), photos_below(query)?),
        };
        if asked.is_empty() {
            return Err(DataError::NoDataset {
                path: query.to_owned(),
                why: "there is no photo in it (jpg, png, gif, bmp, webp)".into(),
                fix: "give the folder of the photos that are to be told apart",
            });
        }
        let (mut classes, mut photos) = (Vec::new(), Vec::new());
        for (class, class_id) in named.iter().zip(class_ids(&named)) {
            let of_class = labelled.in_class(class.class_id);
            photos.extend(of_class.map(|photo| (class_id, format!("{SUPPORT}{}", photo.path))));
            classes.push(Class { class_id, name: class.name.clone() });
        }
        photos.extend(asked.iter().map(|path| (ClassId(FIRST), format!("{QUERY}{path}"))));
        classes.push(Class { class_id: ClassId(FIRST), name: String::new() });
        let raised = |photo: Photo| Photo { image_id: ImageId(photo.image_id.0 | FIRST), ..photo };
        let photos = with_ids(photos).into_iter().map(raised).collect();
        Ok(Self { support: labelled.images_root, query: query_root, classes, photos })
    }

    /// Returns all photos.
    pub fn photos(&self) -> &[Photo] {
        &self.photos
    }

    /// Returns the classes, and the one without a name that stands for those asked for.
    pub fn classes(&self) -> &[Class] {
        &self.classes
    }

    /// Returns the class that stands for those asked for.
    pub fn query_class(&self) -> ClassId {
        ClassId(FIRST)
    }

    /// Returns the photos whose class is asked for, with their paths below the folder that was given.
    pub fn asked(&self) -> impl Iterator<Item = (ImageId, &str)> {
        self.photos.iter().filter_map(|photo| Some((photo.image_id, photo.path.strip_prefix(QUERY)?)))
    }

    /// Tells whether a class is one of these.
    pub fn has(&self, class_id: ClassId) -> bool {
        class_id.0 >= FIRST
    }

    /// Returns where a photo lies, if it is one of these.
    pub fn file(&self, photo: &Photo) -> Option<PathBuf> {
        if photo.image_id.0 < FIRST {
            return None;
        }
        let labelled = photo.path.strip_prefix(SUPPORT).map(|path| self.support.join(path));
        labelled.or_else(|| Some(self.query.join(photo.path.strip_prefix(QUERY)?)))
    }
}

/// Gives each class an id from its name, above that of the photos asked for; of two that meet, the later takes the next.
fn class_ids(classes: &[&Class]) -> Vec<ClassId> {
    let mut taken = BTreeSet::new();
    let id = |class: &&Class| {
        let [a, b, c, d, ..] = *blake3::hash(class.name.as_bytes()).as_bytes();
        let mut id = u32::from_le_bytes([a, b, c, d]) >> 2 | FIRST | 1 << 30;
        while !taken.insert(id) {
            id = id.wrapping_add(1) | FIRST | 1 << 30;
        }
        ClassId(id)
    };
    classes.iter().map(id).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn put(folder: &Path, names: &[&str]) {
        for name in names {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
    }

    #[test]
    fn photos_are_listed_with_ids_that_no_other_photo_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (support, query) = (folder.path().join("s"), folder.path().join("q"));
        put(&support, &["wren/1.jpg", "wren/2.png", "owl/1.jpg", "empty/notes.txt"]);
        put(&query, &["a.jpg", "deep/er/b.JPG", "notes.txt", ".hidden.jpg"]);
        let own = OwnPhotos::open(&support, &query).unwrap();
        let names: Vec<&str> = own.classes().iter().map(|class| class.name.as_str()).collect();
        assert_eq!(names, ["owl", "wren", ""]);
        let mut asked: Vec<&str> = own.asked().map(|(_, path)| path).collect();
        asked.sort_unstable();
        assert_eq!(asked, ["a.jpg", "deep/er/b.JPG"]);
        assert!(own.photos().iter().all(|photo| own.file(photo).unwrap().is_file() && own.has(photo.class_id)));
        put(&support, &["eagle/1.jpg", "owl/0.jpg"]);
        put(&query, &["0.jpg"]);
        let more = OwnPhotos::open(&support, &query).unwrap();
        assert_eq!(more.photos().len(), own.photos().len() + 3);
        assert!(own.photos().iter().all(|photo| more.photos().contains(photo)));
    }

    #[test]
    fn one_photo_may_be_asked_for_and_what_does_not_suffice_is_refused_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let (support, query) = (folder.path().join("s"), folder.path().join("q"));
        put(&support, &["wren/1.jpg"]);
        put(&query, &["a.jpg"]);
        let refused = |support: &Path, query: &Path| OwnPhotos::open(support, query).unwrap_err().to_string();
        assert!(refused(&support, &query).contains("one class"));
        put(&support, &["owl/1.jpg"]);
        let own = OwnPhotos::open(&support, &query.join("a.jpg")).unwrap();
        assert_eq!(own.asked().map(|(_, path)| path).collect::<Vec<_>>(), ["a.jpg"]);
        fs::remove_file(query.join("a.jpg")).unwrap();
        assert!(refused(&support, &query).contains("no photo"));
        assert!(refused(&support, &folder.path().join("gone")).contains("gone"));
    }
}
