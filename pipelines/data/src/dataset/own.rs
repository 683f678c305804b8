//! Photos of one's own: some with a label, in class folders, and others whose class is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::folders::{hashed, image_ids};
use super::walk::{Listing, Walk, single};
use super::{Class, Dataset, LeftOut, Links, OpenOptions, Photo};
use crate::{ClassId, DataError, ImageId};

/// Ids of one's own photos and classes begin here, above all that data sets give.
const FIRST: u32 = 1 << 31;
/// What paths begin with, by folder.
const SUPPORT: &str = "support/";
const QUERY: &str = "query/";

/// Labelled and unlabelled photos. Their ids follow from their paths, or from their contents once those are known: one
/// more photo changes no other, and after [`OwnPhotos::by_content`] names play no part.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnPhotos {
    support: PathBuf,
    query: PathBuf,
    classes: Vec<Class>,
    photos: Vec<Photo>,
    left_out: Vec<LeftOut>,
}

impl OwnPhotos {
    /// Lists the labelled photos of the class folders in `support` (or of a CUB folder), and all photos below `query`, at
    /// any depth; `query` may be a single photo.
    ///
    /// # Errors
    /// [`DataError::NoDataset`] when `support` has fewer than two classes or `query` no photo; those of [`Dataset::open`].
    pub fn open(support: &Path, query: &Path, links: Links) -> Result<Self, DataError> {
        let labelled = Dataset::open(support, &OpenOptions { strict: true, follow_links: links == Links::Followed })?;
        let named: Vec<&Class> =
            labelled.classes.iter().filter(|class| labelled.in_class(class.class_id).next().is_some()).collect();
        if named.len() < 2 {
            return Err(one_class(support, &labelled, named.first().map_or("", |class| &class.name)));
        }
        let (query_root, asked) = asked(query, links)?;
        let (mut classes, mut photos) = (Vec::new(), Vec::new());
        for (class, class_id) in named.iter().zip(class_ids(&named)) {
            let of_class = labelled.in_class(class.class_id);
            photos.extend(of_class.map(|photo| (class_id, format!("{SUPPORT}{}", photo.path))));
            classes.push(Class { class_id, name: class.name.clone() });
        }
        photos.extend(asked.photos.iter().map(|path| (ClassId(FIRST), format!("{QUERY}{path}"))));
        classes.push(Class { class_id: ClassId(FIRST), name: String::new() });
        photos.sort_by(|left, right| left.1.cmp(&right.1));
        let keys: Vec<Vec<u8>> = photos.iter().map(|(_, path)| path.as_bytes().to_vec()).collect();
        let below =
            |folder: &'static str| move |entry: LeftOut| LeftOut { path: format!("{folder}{}", entry.path), ..entry };
        let mut left_out: Vec<LeftOut> = labelled.left_out.into_iter().map(below(SUPPORT)).collect();
        left_out.extend(asked.left_out.into_iter().map(below(QUERY)));
        let photos = numbered(photos, &keys);
        Ok(Self { support: labelled.images_root, query: query_root, classes, photos, left_out })
    }

    /// Gives each photo an id from its class and its content, given by the id that it has now: names play no part in the
    /// order in which photos are computed and added up.
    pub fn by_content(self, contents: &BTreeMap<ImageId, Vec<u8>>) -> Self {
        let key = |photo: &Photo| {
            let content = contents.get(&photo.image_id).map(Vec::as_slice).unwrap_or_default();
            [&photo.class_id.0.to_le_bytes(), content].concat()
        };
        let mut keyed: Vec<(Vec<u8>, ClassId, String)> =
            self.photos.iter().map(|photo| (key(photo), photo.class_id, photo.path.clone())).collect();
        keyed.sort();
        let keys: Vec<Vec<u8>> = keyed.iter().map(|(key, ..)| key.clone()).collect();
        let photos = keyed.into_iter().map(|(_, class_id, path)| (class_id, path)).collect();
        Self { photos: numbered(photos, &keys), ..self }
    }

    /// Returns all photos.
    pub fn photos(&self) -> &[Photo] {
        &self.photos
    }

    /// Returns what is no photo below the two folders; paths begin with `support/` or `query/`.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
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

/// Gives photos ids from their keys, above all that data sets give.
fn numbered(photos: Vec<(ClassId, String)>, keys: &[Vec<u8>]) -> Vec<Photo> {
    let raised = |((class_id, path), id): ((ClassId, String), ImageId)| Photo {
        image_id: ImageId(id.0 | FIRST),
        class_id,
        path,
        bbox: None,
    };
    photos.into_iter().zip(image_ids(keys)).map(raised).collect()
}

/// Lists the photos asked for: those below a folder, or one.
fn asked(query: &Path, links: Links) -> Result<(PathBuf, Listing), DataError> {
    let refuse = |why: String, fix| Err(DataError::NoDataset { path: query.to_owned(), why, fix });
    if query.is_file() {
        return match single(query) {
            (folder, Some(name)) => Ok((folder, Listing { photos: vec![name], left_out: Vec::new() })),
            (_, None) => refuse("the name of the photo is not UTF-8".into(), "rename it"),
        };
    }
    let listing = Walk::new(query, links)?.photos(query, "")?;
    if listing.photos.is_empty() {
        let why = match super::counted(&listing.left_out) {
            Some(left_out) => format!("there is no photo in it; {left_out}"),
            None => "there is no photo in it".to_owned(),
        };
        return refuse(why, "give the folder of the photos that are to be told apart");
    }
    Ok((query.to_owned(), listing))
}

/// Says that there is nothing to choose between; folders in the only class may be the classes that were meant.
fn one_class(support: &Path, labelled: &Dataset, name: &str) -> DataError {
    let deeper: BTreeSet<&str> =
        labelled.photos.iter().filter_map(|photo| Some(photo.path.split_once('/')?.1.split_once('/')?.0)).collect();
    let fix = match deeper.len() {
        0 | 1 => "give a folder with one folder of labelled photos for each of two or more classes",
        _ => "give the folder whose folders are the classes: the only folder here holds several",
    };
    let why =
        format!("it holds photos of one class ({}), and between one there is nothing to choose", name.escape_debug());
    DataError::NoDataset { path: support.to_owned(), why, fix }
}

/// Gives each class an id from its name, above that of the photos asked for; of two that meet, the later takes the next.
fn class_ids(classes: &[&Class]) -> Vec<ClassId> {
    let mut sorted: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
    sorted.sort_unstable();
    let mut ids = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for name in sorted {
        let mut id = hashed(name.as_bytes()) >> 2 | FIRST | 1 << 30;
        while !taken.insert(id) {
            id = id.wrapping_add(1) | FIRST | 1 << 30;
        }
        ids.insert(name, ClassId(id));
    }
    classes.iter().map(|class| ids[class.name.as_str()]).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use mlsm_errors::Explain;

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
        let own = OwnPhotos::open(&support, &query, Links::LeftOut).unwrap();
        let mut names: Vec<&str> = own.classes().iter().map(|class| class.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["", "owl", "wren"]);
        let mut asked: Vec<&str> = own.asked().map(|(_, path)| path).collect();
        asked.sort_unstable();
        assert_eq!(asked, ["a.jpg", "deep/er/b.JPG"]);
        assert!(own.photos().iter().all(|photo| own.file(photo).unwrap().is_file() && own.has(photo.class_id)));
        put(&support, &["eagle/1.jpg", "owl/0.jpg"]);
        put(&query, &["0.jpg"]);
        let more = OwnPhotos::open(&support, &query, Links::LeftOut).unwrap();
        assert_eq!(more.photos().len(), own.photos().len() + 3);
        assert!(own.photos().iter().all(|photo| more.photos().contains(photo)));
    }

    #[test]
    fn one_photo_may_be_asked_for_and_what_does_not_suffice_is_refused_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let (support, query) = (folder.path().join("s"), folder.path().join("q"));
        put(&support, &["wren/1.jpg"]);
        put(&query, &["a.jpg"]);
        let refused = |support: &Path, query: &Path| {
            OwnPhotos::open(support, query, Links::LeftOut).unwrap_err().explain().to_string()
        };
        assert!(refused(&support, &query).contains("one class"));
        put(&support, &["owl/1.jpg"]);
        let own = OwnPhotos::open(&support, &query.join("a.jpg"), Links::LeftOut).unwrap();
        assert_eq!(own.asked().map(|(_, path)| path).collect::<Vec<_>>(), ["a.jpg"]);
        fs::remove_file(query.join("a.jpg")).unwrap();
        assert!(refused(&support, &query).contains("no photo"));
        assert!(refused(&support, &folder.path().join("gone")).contains("gone"));
    }
}
