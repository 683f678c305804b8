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
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OwnPhotos {
    support: PathBuf,
    query: PathBuf,
    classes: Vec<Class>,
    photos: Vec<Photo>,
    left_out: Vec<LeftOut>,
    /// The ids of labelled photos that are known by their features: theirs for good, and without a file.
    stored: BTreeSet<ImageId>,
    is_one_a_shard: bool,
}

impl OwnPhotos {
    /// Lists the labelled photos of the class folders in `support` (or of a CUB folder), and all photos below `query`, at
    /// any depth; `query` may be a single photo.
    ///
    /// # Errors
    /// [`DataError::NoDataset`] when `support` has fewer than two classes or `query` no photo; those of [`Dataset::open`].
    pub fn open(support: &Path, query: &Path, links: Links) -> Result<Self, DataError> {
        Self::labelled(support, links)?.asking(query, links)
    }

    /// Lists the labelled photos alone.
    ///
    /// # Errors
    /// As [`OwnPhotos::open`].
    pub fn labelled(support: &Path, links: Links) -> Result<Self, DataError> {
        let labelled = folder(support, links)?;
        let named = named(&labelled);
        if named.len() < 2 {
            return Err(one_class(support, &labelled, named.first().map_or("", |class| &class.name)));
        }
        Ok(Self::default().with_labelled(labelled))
    }

    /// Takes labelled photos whose features are known in place of their files; their paths are those below the folder that
    /// they came from.
    pub fn stored(classes: &[Class], photos: &[Photo]) -> Self {
        let photos = photos.iter().map(|photo| Photo { path: format!("{SUPPORT}{}", photo.path), ..photo.clone() });
        let stored = photos.clone().map(|photo| photo.image_id).collect();
        Self { classes: with_query(classes.to_vec()), photos: photos.collect(), stored, ..Self::default() }
    }

    /// Lists the labelled photos of a folder that are to join these; returns them alone. Classes of one name are one class.
    ///
    /// # Errors
    /// Those of [`Dataset::open`].
    pub fn joining(&self, support: &Path, links: Links) -> Result<Self, DataError> {
        let alone = Self { classes: self.classes.clone(), stored: self.stored.clone(), ..Self::default() };
        Ok(alone.with_labelled(folder(support, links)?))
    }

    /// Takes one photo, of a class that has no other, and those of a folder, asked for, that it is compared with; without a
    /// folder it is compared with other photos. Where it lies in the folder, it is not among those asked for. Each photo is a
    /// shard of its own.
    ///
    /// # Errors
    /// [`DataError::NoDataset`] when there is no such photo, or none in the folder.
    pub fn compared(photo: &Path, folder: Option<&Path>, links: Links) -> Result<Self, DataError> {
        let (Some(name), true) = (photo.file_name().and_then(|name| name.to_str()), photo.is_file()) else {
            let (path, why) = (photo.to_owned(), "it is no file, or its name is not UTF-8".into());
            return Err(DataError::NoDataset { path, why, fix: "give one photo" });
        };
        let class = Class { class_id: ClassId(FIRST | 1 << 30), name: "photo".to_owned() };
        let alone = Self { classes: with_query(vec![class.clone()]), is_one_a_shard: true, ..Self::default() };
        let alone = Self { support: photo.parent().unwrap_or(Path::new("")).to_owned(), ..alone };
        let alone = alone.with_photos(vec![(class.class_id, format!("{SUPPORT}{name}"))]);
        let Some(folder) = folder else { return Ok(alone) };
        let both = alone.asking(folder, links)?;
        let whole = |path: &Path| path.canonicalize().ok();
        let itself = whole(photo);
        let root = both.query.clone();
        let is_itself =
            move |photo: &Photo| photo.path.strip_prefix(QUERY).and_then(|path| whole(&root.join(path))) == itself;
        let others = both.without(|photo| photo.path.starts_with(QUERY) && is_itself(photo));
        if others.asked().next().is_none() {
            let (path, why) = (folder.to_owned(), "there is no photo in it but the one that is compared".into());
            return Err(DataError::NoDataset { path, why, fix: "give a folder with other photos" });
        }
        Ok(others)
    }

    /// Tells whether each photo is a shard of its own, so that only new ones are computed.
    pub fn is_one_a_shard(&self) -> bool {
        self.is_one_a_shard
    }

    /// Adds the photos that are asked for.
    ///
    /// # Errors
    /// As [`OwnPhotos::open`].
    pub fn asking(mut self, query: &Path, links: Links) -> Result<Self, DataError> {
        let (root, asked) = asked(query, links)?;
        let photos = asked.photos.iter().map(|path| (ClassId(FIRST), format!("{QUERY}{path}"))).collect();
        let below = |entry: LeftOut| LeftOut { path: format!("{QUERY}{}", entry.path), ..entry };
        self.left_out.extend(asked.left_out.into_iter().map(below));
        self.query = root;
        Ok(self.with_photos(photos))
    }

    fn with_labelled(mut self, labelled: Dataset) -> Self {
        let named: Vec<Class> = named(&labelled).into_iter().cloned().collect();
        let names: Vec<&str> = named.iter().map(|class| class.name.as_str()).collect();
        let ids = class_ids(&names, &self.classes);
        let of_class = |class: &Class| {
            let id = ids[class.name.as_str()];
            labelled.in_class(class.class_id).map(move |photo| (id, format!("{SUPPORT}{}", photo.path)))
        };
        let photos = named.iter().flat_map(of_class).collect();
        let class = |name: &&str| Class { class_id: ids[name], name: (*name).to_owned() };
        self.classes = with_query(names.iter().map(class).collect());
        let below = |entry: LeftOut| LeftOut { path: format!("{SUPPORT}{}", entry.path), ..entry };
        self.left_out.extend(labelled.left_out.into_iter().map(below));
        self.support = labelled.images_root;
        self.with_photos(photos)
    }

    /// Adds photos, and gives them ids.
    fn with_photos(mut self, mut photos: Vec<(ClassId, String)>) -> Self {
        photos.sort_by(|left, right| left.1.cmp(&right.1));
        let keys: Vec<Vec<u8>> = photos.iter().map(|(_, path)| path.as_bytes().to_vec()).collect();
        let taken = self.photos.iter().map(|photo| photo.image_id).chain(self.stored.iter().copied()).collect();
        self.photos.extend(numbered(photos, &keys, &taken));
        self
    }

    /// Leaves photos out, and the classes that have no other.
    pub fn without(mut self, is_left_out: impl Fn(&Photo) -> bool) -> Self {
        self.photos.retain(|photo| !is_left_out(photo));
        let left: BTreeSet<ClassId> = self.photos.iter().map(|photo| photo.class_id).collect();
        self.classes.retain(|class| class.class_id == ClassId(FIRST) || left.contains(&class.class_id));
        self
    }

    /// Gives each photo an id from its class and its content, given by the id that it has now: names play no part in the
    /// order in which photos are computed and added up.
    pub fn by_content(self, contents: &BTreeMap<ImageId, Vec<u8>>) -> Self {
        let key = |photo: &Photo| {
            let content = contents.get(&photo.image_id).map(Vec::as_slice).unwrap_or_default();
            [&photo.class_id.0.to_le_bytes(), content].concat()
        };
        let (mut photos, new): (Vec<Photo>, Vec<Photo>) =
            self.photos.into_iter().partition(|photo| self.stored.contains(&photo.image_id));
        // Those asked for come last: whether they are there or not, labelled photos have the same ids.
        let mut keyed: Vec<(bool, Vec<u8>, ClassId, String)> = new
            .iter()
            .map(|photo| (photo.class_id == ClassId(FIRST), key(photo), photo.class_id, photo.path.clone()))
            .collect();
        keyed.sort();
        let keys: Vec<Vec<u8>> = keyed.iter().map(|(_, key, ..)| key.clone()).collect();
        let new = keyed.into_iter().map(|(_, _, class_id, path)| (class_id, path)).collect();
        photos.extend(numbered(new, &keys, &self.stored));
        Self { photos, ..self }
    }

    /// Tells whether a photo is known by its features, and has no file.
    pub fn is_stored(&self, photo: &Photo) -> bool {
        self.stored.contains(&photo.image_id)
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
        if photo.image_id.0 < FIRST || self.is_stored(photo) {
            return None;
        }
        let labelled = photo.path.strip_prefix(SUPPORT).map(|path| self.support.join(path));
        labelled.or_else(|| Some(self.query.join(photo.path.strip_prefix(QUERY)?)))
    }
}

/// Opens a folder of labelled photos.
fn folder(support: &Path, links: Links) -> Result<Dataset, DataError> {
    Dataset::open(support, &OpenOptions { strict: true, follow_links: links == Links::Followed })
}

/// Returns the classes that have photos.
fn named(labelled: &Dataset) -> Vec<&Class> {
    labelled.classes.iter().filter(|class| labelled.in_class(class.class_id).next().is_some()).collect()
}

/// Adds the class that stands for the photos asked for.
fn with_query(mut classes: Vec<Class>) -> Vec<Class> {
    classes.push(Class { class_id: ClassId(FIRST), name: String::new() });
    classes
}

/// Gives photos ids from their keys, above all that data sets give, and other than those that are taken.
fn numbered(photos: Vec<(ClassId, String)>, keys: &[Vec<u8>], taken: &BTreeSet<ImageId>) -> Vec<Photo> {
    let raised = |((class_id, path), id): ((ClassId, String), ImageId)| Photo {
        image_id: ImageId(id.0 | FIRST),
        class_id,
        path,
        bbox: None,
    };
    let taken = taken.iter().map(|id| id.0 & !FIRST).collect();
    photos.into_iter().zip(image_ids(keys, taken)).map(raised).collect()
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

/// Gives each class an id from its name, above that of the photos asked for; of two that meet, the later takes the next. A
/// class that is known keeps its id.
fn class_ids<'a>(names: &[&'a str], known: &'a [Class]) -> BTreeMap<&'a str, ClassId> {
    let mut ids: BTreeMap<&str, ClassId> = known.iter().map(|class| (class.name.as_str(), class.class_id)).collect();
    let mut taken: BTreeSet<u32> = ids.values().map(|id| id.0).collect();
    let mut sorted: Vec<&str> = names.iter().copied().filter(|name| !ids.contains_key(name)).collect();
    sorted.sort_unstable();
    for name in sorted {
        let mut id = hashed(name.as_bytes()) >> 2 | FIRST | 1 << 30;
        while !taken.insert(id) {
            id = id.wrapping_add(1) | FIRST | 1 << 30;
        }
        ids.insert(name, ClassId(id));
    }
    ids
}

#[cfg(test)]
mod tests;
