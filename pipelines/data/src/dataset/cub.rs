//! The CUB-200-2011 layout (Wah et al. 2011): text files that join on the image id.
//!
//! Subsets are common, so ids need not be contiguous; but the files must agree on which there are.

use super::lines::{MetadataFile, Record};
use super::presence::Presence;
use super::tree::Tree;
use super::{BoundingBox, Class, Dataset, OpenOptions, Photo};
use crate::{ClassId, DataError, ImageId};
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

/// The folder of the archive.
const ARCHIVE_FOLDER: &str = "CUB_200_2011";

/// The list that no other tool leaves behind.
const LABELS: &str = "image_class_labels.txt";

/// Where below a root its CUB folder is, if it is or holds one. One list alone decides nothing: labelling tools leave a
/// `classes.txt`, too.
pub(super) fn find<T: Tree + ?Sized>(tree: &T) -> Option<&'static str> {
    ["", ARCHIVE_FOLDER].into_iter().find(|below| is_cub(tree, below))
}

/// Names a file of the folder.
fn in_folder(below: &str, name: &str) -> String {
    if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") }
}

/// Tells a CUB folder, even a damaged one: two of its lists, or one beside the folder of its photos.
fn is_cub<T: Tree + ?Sized>(tree: &T, below: &str) -> bool {
    let lists = ["images.txt", "classes.txt"].iter().filter(|name| begins_with_a_number(tree, &in_folder(below, name)));
    let lists = lists.count();
    let has_images = tree.is_folder(&in_folder(below, "images"));
    let is_named = tree.place(below).ends_with(ARCHIVE_FOLDER);
    match tree.is_file(&in_folder(below, LABELS)) {
        true => lists > 0 || has_images || is_named,
        false => has_images && (lists == 2 || is_named),
    }
}

/// Tells whether the first line of a list is an id and something behind it.
fn begins_with_a_number<T: Tree + ?Sized>(tree: &T, list: &str) -> bool {
    let Ok(bytes) = tree.read(list) else { return false };
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.trim_start_matches('\u{feff}').lines().filter(|line| !line.trim().is_empty());
    let mut fields = lines.next().unwrap_or_default().split_whitespace();
    fields.next().is_some_and(|id| id.parse::<u32>().is_ok()) && fields.next().is_some()
}

/// Reads the lists of a CUB folder.
pub(super) fn open<T: Tree + ?Sized>(tree: &T, below: &str, options: &OpenOptions) -> Result<Dataset, DataError> {
    let list = |name: &str| MetadataFile::read(tree, below, name);
    let images = list("images.txt")?;
    let labels = list("image_class_labels.txt")?;
    let classes = read_classes(&list("classes.txt")?)?;
    let boxes = MetadataFile::read_if_there(tree, &in_folder(below, "bounding_boxes.txt"))?;

    let paths = read_paths(&images)?;
    if paths.is_empty() {
        return Err(DataError::Incomplete { path: images.path().to_owned(), why: "it lists no photo".into() });
    }
    let labels_by_id = read_labels(&labels, &paths, &classes)?;
    check_complete(&labels, &labels_by_id, &paths, "class")?;
    let mut boxes_by_id = BTreeMap::new();
    if let Some(file) = &boxes {
        boxes_by_id = read_boxes(file, &paths)?;
        check_complete(file, &boxes_by_id, &paths, "box")?;
    }
    let photos = paths.into_iter().map(|(id, path)| Photo {
        image_id: ImageId(id),
        class_id: labels_by_id[&id],
        path,
        bbox: boxes_by_id.get(&id).copied(),
    });
    let classes = classes.into_iter().map(|(id, name)| Class { class_id: ClassId(id), name }).collect();
    let folder = in_folder(below, "images");
    with_present(Presence::new(tree, &folder), tree.place(&folder), (classes, photos.collect()), options)
}

/// Leaves out the photos that have no file.
fn with_present<T: Tree + ?Sized>(
    mut presence: Presence<'_, T>,
    images_root: PathBuf,
    (classes, listed): (Vec<Class>, Vec<Photo>),
    options: &OpenOptions,
) -> Result<Dataset, DataError> {
    let listed_count = listed.len();
    let (mut photos, mut first_absent) = (Vec::with_capacity(listed_count), None);
    for photo in listed {
        if presence.is_there(&photo.path)? {
            photos.push(photo);
        } else if first_absent.is_none() {
            first_absent = Some(photo.path);
        }
    }
    let absent = listed_count - photos.len();
    match first_absent {
        Some(first) if options.strict => {
            Err(DataError::AbsentPhotos { images_root, absent, listed: listed_count, first })
        }
        first_absent => Ok(Dataset { absent, first_absent, ..Dataset::new(images_root, classes, photos) }),
    }
}

fn read_paths(file: &MetadataFile) -> Result<BTreeMap<u32, String>, DataError> {
    let mut paths = BTreeMap::new();
    let mut seen = HashSet::new();
    for record in file.records(&["image_id", "path"]) {
        let record = record?;
        let path = record.fields[1];
        if !stays_below_root(path) {
            return Err(record.outside_root(path));
        }
        if !seen.insert(path) {
            return Err(record.malformed(format!("the photo `{path}` is listed a second time")));
        }
        record.insert_new(&mut paths, record.number(0, "image id")?, path.to_owned(), "image id")?;
    }
    Ok(paths)
}

/// Whether a path is one or more plain names parted by `/`.
fn stays_below_root(path: &str) -> bool {
    let plain = |name: &str| !matches!(name, "" | "." | "..") && !name.contains(['\\', '\0', ':']);
    path.split('/').all(plain)
}

fn read_classes(file: &MetadataFile) -> Result<BTreeMap<u32, String>, DataError> {
    let mut classes = BTreeMap::new();
    for record in file.records(&["class_id", "name"]) {
        let record = record?;
        record.insert_new(&mut classes, record.number(0, "class id")?, record.fields[1].to_owned(), "class id")?;
    }
    Ok(classes)
}

fn read_labels(
    file: &MetadataFile,
    paths: &BTreeMap<u32, String>,
    classes: &BTreeMap<u32, String>,
) -> Result<BTreeMap<u32, ClassId>, DataError> {
    let mut labels = BTreeMap::new();
    for record in file.records(&["image_id", "class_id"]) {
        let record = record?;
        let image_id = known_image(&record, paths)?;
        let class_id: u32 = record.number(1, "class id")?;
        if !classes.contains_key(&class_id) {
            return Err(record.malformed(format!("the class id {class_id} is not in classes.txt")));
        }
        record.insert_new(&mut labels, image_id, ClassId(class_id), "image id")?;
    }
    Ok(labels)
}

fn read_boxes(file: &MetadataFile, paths: &BTreeMap<u32, String>) -> Result<BTreeMap<u32, BoundingBox>, DataError> {
    let mut boxes = BTreeMap::new();
    for record in file.records(&["image_id", "x", "y", "width", "height"]) {
        let record = record?;
        let image_id = known_image(&record, paths)?;
        let (x, y): (f32, f32) = (record.number(1, "x")?, record.number(2, "y")?);
        let (w, h): (f32, f32) = (record.number(3, "width")?, record.number(4, "height")?);
        if ![x, y, w, h].iter().all(|value| value.is_finite()) || w <= 0.0 || h <= 0.0 {
            return Err(record.malformed(format!("a box of {w} x {h} pixels at {x}, {y} is none")));
        }
        record.insert_new(&mut boxes, image_id, BoundingBox { x, y, w, h }, "image id")?;
    }
    Ok(boxes)
}

fn known_image(record: &Record<'_>, paths: &BTreeMap<u32, String>) -> Result<u32, DataError> {
    let image_id = record.number(0, "image id")?;
    if paths.contains_key(&image_id) {
        return Ok(image_id);
    }
    Err(record.malformed(format!("the image id {image_id} is not in images.txt")))
}

/// Every listed photo must have its line.
fn check_complete<V>(
    file: &MetadataFile,
    table: &BTreeMap<u32, V>,
    paths: &BTreeMap<u32, String>,
    what: &str,
) -> Result<(), DataError> {
    let Some(missing) = paths.keys().find(|id| !table.contains_key(id)) else { return Ok(()) };
    let why = format!("it has no {what} for image {missing}: {} lines for {} photos", table.len(), paths.len());
    Err(DataError::Incomplete { path: file.path().to_owned(), why })
}
