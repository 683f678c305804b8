//! Checks against photos and lists of CUB-200-2011, for those who have them: `MLSM_TEST_DATA` names a folder
//! that holds `cub-photos-40`, `cub-crops-73`, `cub-metadata-full` and `cub-splits`.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "tests make files, measure and print")]

use mlsm_data::decode::{dimensions, open_rgb};
use mlsm_data::resize::{crop_squash, squash};
use mlsm_data::splits::{SPLITS, assign};
use mlsm_data::{ClassId, Dataset, EpisodeSpec, OpenOptions, Part, Pool, ShardOptions, SplitRule, shards};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

static SKIPPED: AtomicUsize = AtomicUsize::new(0);

const STRICT: OpenOptions = OpenOptions { strict: true, follow_links: false };

/// A folder of the test data, if there is any.
fn folder(name: &str) -> Option<PathBuf> {
    let Some(root) = std::env::var_os("MLSM_TEST_DATA") else {
        // Written past the tests' capture, so that everybody sees it; the last count is the whole.
        let count = SKIPPED.fetch_add(1, Ordering::SeqCst) + 1;
        let _ = writeln!(std::io::stderr(), "skipped for want of MLSM_TEST_DATA: {count}");
        return None;
    };
    Some(PathBuf::from(root).join(name))
}

#[test]
fn the_forty_classes_are_read_with_their_boxes() {
    let Some(path) = folder("cub-photos-40") else { return };
    let dataset = Dataset::open(&path, &STRICT).unwrap();
    assert_eq!((dataset.classes.len(), dataset.photos.len(), dataset.absent), (40, 2307, 0));
    assert!(dataset.photos.iter().all(|photo| photo.bbox.is_some()));
    let parts = assign(&SplitRule::Named("closerlook"), &dataset.classes).unwrap().parts;
    let size = |part| parts.values().filter(|&&found| found == part).count();
    assert_eq!(Part::ALL.map(size), [20, 11, 9]);
    assert_eq!(shards(&dataset, &ShardOptions::default()).len(), 40);
}

#[test]
fn every_photo_decodes_and_its_box_meets_it() {
    let Some(path) = folder("cub-photos-40") else { return };
    let dataset = Dataset::open(&path, &STRICT).unwrap();
    dataset.photos.par_iter().for_each(|photo| {
        let bytes = std::fs::read(dataset.images_root.join(&photo.path)).unwrap();
        let image = open_rgb(&bytes).unwrap_or_else(|problem| panic!("{}: {problem}", photo.path));
        let (width, height) = image.dimensions();
        assert_eq!(dimensions(&bytes).unwrap(), (width, height));
        assert!(width.max(height) <= 250 && width.min(height) >= 106, "{}", photo.path);
        let bbox = photo.bbox.unwrap();
        let clipped = bbox.clip(width, height);
        assert!(bbox.iou(&clipped) > 0.85, "{}: {bbox:?} in {width} x {height}", photo.path);
        assert_eq!(squash(&image, 84).len(), 84 * 84 * 3);
        assert_eq!(crop_squash(&image, bbox.relative(width, height), 84).len(), 84 * 84 * 3);
    });
}

#[test]
fn every_crop_of_the_other_set_decodes_and_half_of_it_does_not() {
    let Some(path) = folder("cub-crops-73") else { return };
    let dataset = Dataset::open(&path, &STRICT).unwrap();
    assert_eq!((dataset.classes.len(), dataset.photos.len()), (73, 4296));
    dataset.photos.par_iter().for_each(|photo| {
        let bytes = std::fs::read(dataset.images_root.join(&photo.path)).unwrap();
        assert_eq!(open_rgb(&bytes).unwrap().dimensions(), (227, 227), "{}", photo.path);
        assert!(open_rgb(&bytes[..bytes.len() / 2]).is_err(), "{}", photo.path);
    });
}

#[test]
fn the_folder_of_images_alone_gives_the_same_classes() {
    let Some(path) = folder("cub-photos-40/CUB_200_2011") else { return };
    let listed = Dataset::open(&path, &STRICT).unwrap();
    let found = Dataset::open(&path.join("images"), &STRICT).unwrap();
    assert_eq!(found.classes, listed.classes);
    for class_id in listed.class_ids() {
        assert_eq!(found.in_class(class_id).count(), listed.in_class(class_id).count());
    }
}

#[test]
fn five_way_episodes_can_be_drawn_from_every_part() {
    let Some(path) = folder("cub-photos-40") else { return };
    let dataset = Dataset::open(&path, &STRICT).unwrap();
    let parts = assign(&SplitRule::Named("closerlook"), &dataset.classes).unwrap().parts;
    let spec = EpisodeSpec { n_way: 5, k_shot: 5, n_query: 15, seed: 0 };
    for part in Part::ALL {
        let pool: Pool = dataset.photos.iter().filter(|photo| parts.get(&photo.class_id) == Some(&part)).collect();
        pool.check(&spec).unwrap();
        let episode = pool.episode(&spec, 0);
        assert!(episode.classes.iter().all(|class_id| parts[class_id] == part));
    }
}

#[test]
fn the_official_lists_are_read_without_their_photos() {
    let Some(path) = folder("cub-metadata-full") else { return };
    let dataset = Dataset::open(&path, &OpenOptions { strict: false, follow_links: false }).unwrap();
    assert_eq!((dataset.classes.len(), dataset.photos.len(), dataset.absent), (200, 0, 11_788));
    let error = Dataset::open(&path, &STRICT).unwrap_err().to_string();
    assert!(error.contains("11788 of 11788 listed photos are absent"), "{error}");
}

/// Number of photos of each class in the official list.
fn official_counts(path: &std::path::Path) -> BTreeMap<ClassId, usize> {
    let labels = std::fs::read_to_string(path.join("CUB_200_2011/image_class_labels.txt")).unwrap();
    let mut counts = BTreeMap::new();
    for line in labels.lines() {
        let class_id = line.split_once(' ').unwrap().1.parse().unwrap();
        *counts.entry(ClassId(class_id)).or_default() += 1;
    }
    counts
}

fn numbered(ids: &[ClassId]) -> Vec<mlsm_data::Class> {
    ids.iter().map(|id| mlsm_data::Class { class_id: *id, name: format!("{id:03}") }).collect()
}

#[test]
fn the_splits_divide_the_official_photos_as_published() {
    let Some(path) = folder("cub-metadata-full") else { return };
    let counts = official_counts(&path);
    let classes: Vec<ClassId> = counts.keys().copied().collect();
    let photos = |name| {
        let parts = assign(&SplitRule::from_name(name).unwrap(), &numbered(&classes)).unwrap().parts;
        Part::ALL.map(|part| classes.iter().filter(|id| parts[id] == part).map(|id| counts[id]).sum::<usize>())
    };
    let found: Vec<[usize; 3]> = SPLITS.iter().map(|split| photos(split.name)).collect();
    let published = [
        [5885, 2950, 2953],
        [5903, 2927, 2958],
        [7638, 1192, 2958],
        [5891, 2932, 2965],
        [5863, 2971, 2954],
        [8239, 1779, 1770],
        [5864, 2958, 2966],
    ];
    assert_eq!(found, published);
}

#[test]
fn the_splits_equal_the_lists_their_authors_published() {
    let Some(path) = folder("cub-splits/class_splits_all.json") else { return };
    let lists: BTreeMap<String, BTreeMap<String, Vec<String>>> =
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let classes: Vec<ClassId> = (1..=200).map(ClassId).collect();
    for (name, list) in
        [("closerlook", "closerlook_100_50_50"), ("feat", "feat_100_50_50"), ("metadataset", "meta_dataset_140_30_30")]
    {
        let parts = assign(&SplitRule::from_name(name).unwrap(), &numbered(&classes)).unwrap().parts;
        for (part, key) in [(Part::Base, "train"), (Part::Val, "val"), (Part::Novel, "test")] {
            let mut published: Vec<u32> = lists[list][key].iter().map(|class| class[..3].parse().unwrap()).collect();
            published.sort_unstable();
            let ours: Vec<u32> = parts.iter().filter(|(_, found)| **found == part).map(|(id, _)| id.0).collect();
            assert_eq!(ours, published, "{name} {part}");
        }
    }
}
