//! Class folders: `DIR/<class>/…/<photo>`, with no lists at all.
//!
//! Ids follow from names, never from positions, so that a class or photo more changes the id of no other. A photo's id
//! is a hash of its path. A class has the number in front of its folder's name (`012.Cardinal`, as CUB's own folder of
//! images, so that published splits fit), or a hash of the name above all such numbers.

use super::left_out::{LeftOut, Reason};
use super::tree::{ListedFiles, Tree};
use super::walk::{Entry, Walk, leads_back, listed_kind};
use super::{Class, Dataset, OpenOptions, Photo};
use crate::{ClassId, DataError, ImageId};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Ids of classes by their names begin here; numbers in front of names lie below.
pub(crate) const NAMED: u32 = 1 << 30;

/// Lists the photos of every class folder.
pub(super) fn open(root: &Path, options: &OpenOptions) -> Result<Dataset, DataError> {
    let mut walk = Walk::new(root, options.links())?;
    let mut left_out = Vec::new();
    let entries = walk.entries(root, "", &mut left_out)?;
    lost_classes(root, &left_out)?;
    let mut folders = BTreeMap::new();
    for entry in entries {
        match entry {
            Entry::File(path) => left_out.push(LeftOut { path, reason: Reason::BesideClasses }),
            Entry::Folder(name) => {
                let listing = walk.photos(root, &name)?;
                match listing.photos.is_empty() {
                    true => left_out.extend(without_photos(root, name, listing.left_out)?),
                    false => {
                        left_out.extend(listing.left_out);
                        folders.insert(name, listing.photos);
                    }
                }
            }
        }
    }
    of_folders(root, folders, left_out)
}

/// Lists the photos of every class folder that an object store has.
pub(super) fn open_listed(files: &ListedFiles<'_>) -> Result<Dataset, DataError> {
    let root = files.root();
    let (mut folders, mut rest) =
        (BTreeMap::<String, Vec<String>>::new(), BTreeMap::<String, BTreeSet<LeftOut>>::new());
    for path in files.paths() {
        let class = path.split_once('/').map_or("", |(class, _)| class);
        match listed_kind(files, path)? {
            None => folders.entry(class.to_owned()).or_default().push(path.to_owned()),
            Some(left_out) => drop(rest.entry(class.to_owned()).or_default().insert(left_out)),
        }
    }
    let mut left_out = Vec::new();
    for (class, entries) in rest {
        let is_whole = entries.iter().any(|entry| entry.path == class); // left out with all that it holds
        match class.is_empty() || is_whole || folders.contains_key(&class) {
            true => left_out.extend(entries),
            false => left_out.extend(without_photos(&root, class, entries.into_iter().collect())?),
        }
    }
    of_folders(&root, folders, left_out)
}

fn of_folders(
    root: &Path,
    folders: BTreeMap<String, Vec<String>>,
    mut left_out: Vec<LeftOut>,
) -> Result<Dataset, DataError> {
    if folders.is_empty() {
        let beside = left_out.iter().find(|entry| entry.reason == Reason::BesideClasses);
        return Err(DataError::NoDataset {
            path: root.to_owned(),
            why: match beside {
                Some(file) => format!(
                    "no folder in it holds photos, and its own files, such as {}, belong to no class",
                    file.path.escape_debug()
                ),
                None => "it holds neither CUB's lists (images.txt …) nor a folder with photos".into(),
            },
            fix: "give a CUB folder, or a folder with one folder of photos per class",
        });
    }
    let names: Vec<&str> = folders.keys().map(String::as_str).collect();
    let class_ids = class_ids(&names);
    let class = |(name, class_id): (&&str, &ClassId)| Class { class_id: *class_id, name: (*name).to_owned() };
    let classes = names.iter().zip(&class_ids).map(class).collect();
    let of_class = folders.values().zip(&class_ids);
    let photos = of_class.flat_map(|(paths, id)| paths.iter().map(|path| (*id, path.clone()))).collect();
    left_out.sort();
    Ok(Dataset { left_out, ..Dataset::new(root.to_owned(), classes, with_ids(photos)) })
}

/// Refuses class folders that are left out whole: their photos would be given to other classes in silence.
fn lost_classes(root: &Path, left_out: &[LeftOut]) -> Result<(), DataError> {
    let is_folder = |path: &str| root.join(path).is_dir();
    let lost = left_out.iter().find(|entry| match entry.reason {
        Reason::Link => is_folder(&entry.path) && !leads_back(root, &entry.path),
        Reason::Name => has_unnamed_folder(root),
        _ => false,
    });
    lost.map_or(Ok(()), |LeftOut { path, reason }| Err(lost_class(root, path, *reason)))
}

/// Tells whether a folder whose name is not UTF-8 lies in `root`.
fn has_unnamed_folder(root: &Path) -> bool {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_str().is_none()).any(|entry| entry.path().is_dir())
}

/// What a folder without photos leaves out; an error where photos of a class may be lost.
fn without_photos(root: &Path, name: String, mut left_out: Vec<LeftOut>) -> Result<Vec<LeftOut>, DataError> {
    if let Some(LeftOut { path, reason }) = left_out.iter().find(|entry| entry.reason.may_hide_photos()) {
        return Err(lost_class(root, path, *reason));
    }
    if left_out.is_empty() {
        left_out.push(LeftOut { path: name, reason: Reason::EmptyFolder });
    }
    Ok(left_out)
}

fn lost_class(root: &Path, path: &str, reason: Reason) -> DataError {
    let class = path.split('/').next().unwrap_or_default();
    DataError::ClassWithoutPhotos {
        path: root.to_owned(),
        class: class.escape_debug().to_string(),
        why: format!("{} is left out: {reason}", path.escape_debug()),
    }
}

/// Gives each class the number in front of its name, or a hash of the name where it has none or shares it.
fn class_ids(names: &[&str]) -> Vec<ClassId> {
    let number = |name: &str| {
        let (digits, rest) = name.split_once('.')?;
        let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let is_name = rest.chars().next().is_some_and(|first| !first.is_ascii_digit());
        digits.parse::<u32>().ok().filter(|number| is_number && is_name && *number < NAMED)
    };
    let mut shared = BTreeMap::<u32, usize>::new();
    names.iter().filter_map(|name| number(name)).for_each(|n| *shared.entry(n).or_default() += 1);
    let mut taken = BTreeSet::new();
    let id = |name: &&str| match number(name).filter(|n| shared[n] == 1) {
        Some(number) => ClassId(number),
        None => {
            let mut id = hashed(name.as_bytes()) >> 2 | NAMED;
            while !taken.insert(id) {
                id = (id + 1) & (NAMED - 1) | NAMED;
            }
            ClassId(id)
        }
    };
    names.iter().map(id).collect()
}

/// Gives each photo an id of 31 bits from BLAKE3 of its path; of two that meet, the later path takes the next.
fn with_ids(mut photos: Vec<(ClassId, String)>) -> Vec<Photo> {
    photos.sort_by(|left, right| left.1.cmp(&right.1));
    let keys: Vec<Vec<u8>> = photos.iter().map(|(_, path)| path.as_bytes().to_vec()).collect();
    let photo = |((class_id, path), image_id)| Photo { image_id, class_id, path, bbox: None };
    photos.into_iter().zip(image_ids(&keys, BTreeSet::new())).map(photo).collect()
}

/// Gives each key an id of 31 bits; of two that meet, or where the id is `taken`, the later takes the next.
pub(super) fn image_ids(keys: &[Vec<u8>], mut taken: BTreeSet<u32>) -> Vec<ImageId> {
    let id = |key: &Vec<u8>| {
        let mut id = hashed(key) & 0x7fff_ffff;
        while !taken.insert(id) {
            id = (id + 1) & 0x7fff_ffff;
        }
        ImageId(id)
    };
    keys.iter().map(id).collect()
}

/// The first 32 bits of BLAKE3.
pub(super) fn hashed(bytes: &[u8]) -> u32 {
    let [a, b, c, d, ..] = *blake3::hash(bytes).as_bytes();
    u32::from_le_bytes([a, b, c, d])
}
