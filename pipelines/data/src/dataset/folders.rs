//! Class folders: `DIR/<class>/<photo>`, with no lists at all.
//!
//! A photo's id is derived from its path, so that adding one changes the id of no other and a stage redoes
//! one shard. Class ids are the numbers in front of the folders' names where each has one (`012.Cardinal`, as
//! CUB's own folder of images), so that published splits fit; otherwise 1, 2, 3 … by sorted name.

use super::presence::is_file;
use super::{Class, Dataset, Photo};
use crate::{ClassId, DataError, ImageId};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// Endings of photos' names, in lower case.
const ENDINGS: [&str; 6] = ["jpg", "jpeg", "png", "gif", "bmp", "webp"];

/// Lists the photos of every class folder.
pub(super) fn open(root: &Path) -> Result<Dataset, DataError> {
    let mut folders = Vec::new();
    for (name, is_folder) in entries(root)? {
        if !is_folder {
            continue;
        }
        let photos = photo_names(&root.join(&name))?;
        if !photos.is_empty() {
            folders.push((name, photos));
        }
    }
    if folders.is_empty() {
        return Err(DataError::NoDataset {
            path: root.to_owned(),
            why: "it holds neither CUB's lists (images.txt …) nor a folder with photos".into(),
            fix: "give a CUB folder, or a folder with one folder of photos per class",
        });
    }
    let names: Vec<&str> = folders.iter().map(|(name, _)| name.as_str()).collect();
    let class_ids = class_ids(&names);
    let classes = names.iter().zip(&class_ids).map(|(name, &class_id)| Class { class_id, name: (*name).to_owned() });
    let classes = classes.collect();
    let mut photos = Vec::new();
    for ((folder, names), &class_id) in folders.iter().zip(&class_ids) {
        photos.extend(names.iter().map(|name| (class_id, format!("{folder}/{name}"))));
    }
    Ok(Dataset::new(root.to_owned(), classes, with_ids(photos)))
}

/// The numbers before the first dot, when every folder has one and they differ; else the positions from 1.
fn class_ids(names: &[&str]) -> Vec<ClassId> {
    let number = |name: &&str| name.split_once('.')?.0.parse::<u32>().ok();
    let numbers: Option<BTreeSet<u32>> = names.iter().map(number).collect();
    match numbers {
        Some(distinct) if distinct.len() == names.len() => names.iter().filter_map(number).map(ClassId).collect(),
        _ => (1..).map(ClassId).take(names.len()).collect(),
    }
}

/// Gives each photo an id of 31 bits from BLAKE3 of its path; of two that meet, the later path takes the next.
pub(super) fn with_ids(mut photos: Vec<(ClassId, String)>) -> Vec<Photo> {
    photos.sort_by(|left, right| left.1.cmp(&right.1));
    let mut taken = BTreeSet::new();
    let with_id = |(class_id, path): (ClassId, String)| {
        let hash = blake3::hash(path.as_bytes());
        let [a, b, c, d, ..] = *hash.as_bytes();
        let mut id = u32::from_le_bytes([a, b, c, d]) & 0x7fff_ffff;
        while !taken.insert(id) {
            id = (id + 1) & 0x7fff_ffff;
        }
        Photo { image_id: ImageId(id), class_id, path, bbox: None }
    };
    photos.into_iter().map(with_id).collect()
}

/// Tells whether a file's name ends like a photo's.
pub(crate) fn is_photo_name(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

/// Lists the photos below a folder, at any depth, by their paths in it.
pub(super) fn photos_below(folder: &Path) -> Result<Vec<String>, DataError> {
    let mut paths = Vec::new();
    for (name, is_folder) in entries(folder)? {
        match is_folder {
            true => paths.extend(photos_below(&folder.join(&name))?.iter().map(|path| format!("{name}/{path}"))),
            false if is_photo_name(&name) => paths.push(name),
            false => {}
        }
    }
    Ok(paths)
}

fn photo_names(folder: &Path) -> Result<Vec<String>, DataError> {
    let names = entries(folder)?.into_iter().filter(|(name, is_folder)| !is_folder && is_photo_name(name));
    Ok(names.map(|(name, _)| name).collect())
}

/// Sorted names in a folder and whether each is a folder; hidden ones and broken links are left out.
fn entries(folder: &Path) -> Result<Vec<(String, bool)>, DataError> {
    let refuse = |error| DataError::io("list", folder, error);
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(refuse)? {
        let entry = entry.map_err(refuse)?;
        let name = entry.file_name().into_string().map_err(|name| {
            let why = format!("the name {} is not UTF-8", name.display());
            refuse(io::Error::new(io::ErrorKind::InvalidData, why))
        })?;
        let is_folder = entry.path().is_dir();
        if !name.starts_with('.') && (is_folder || is_file(&entry).map_err(refuse)?) {
            entries.push((name, is_folder));
        }
    }
    entries.sort();
    Ok(entries)
}
