//! Lists: what is read of them hangs together, and an error names a line that is there.

use std::collections::BTreeSet;
use std::fs;

use mlsm_data::splits::parse_file;
use mlsm_data::{DataError, Dataset, OpenOptions, Photo};

const NAMES: [&str; 4] = ["images.txt", "image_class_labels.txt", "classes.txt", "bounding_boxes.txt"];

/// Opens a CUB folder of these lists; one photo has a file.
pub fn check_cub(bytes: &[u8]) {
    let scratch = tempfile::tempdir().expect("a folder for temporary files");
    let class = scratch.path().join("images/1.A");
    fs::create_dir_all(&class).expect("a folder is made");
    fs::write(class.join("x.jpg"), b"").expect("a file is written");
    let parts: Vec<&[u8]> = bytes.splitn(NAMES.len(), |byte| *byte == 0).collect();
    for (name, part) in NAMES.iter().zip(&parts) {
        fs::write(scratch.path().join(name), part).expect("a file is written");
    }
    match Dataset::open(scratch.path(), &OpenOptions::default()) {
        Ok(dataset) => check_dataset(&dataset),
        Err(DataError::Malformed { path, line, .. } | DataError::OutsideRoot { path, line, .. }) => {
            let text = fs::read(path).expect("the file that the error names");
            let lines = 1 + text.iter().filter(|byte| **byte == b'\n').count();
            assert!((1..=lines).contains(&line), "line {line} of {lines}");
        }
        Err(DataError::Io { source, .. }) => panic!("the list is to blame, not the disk: {source}"),
        Err(_) => {}
    }
}

fn check_dataset(dataset: &Dataset) {
    let of_classes: usize = dataset.class_ids().into_iter().map(|id| dataset.in_class(id).count()).sum();
    assert_eq!(of_classes, dataset.photos.len(), "each photo is in one class");
    let paths: BTreeSet<&str> = dataset.photos.iter().map(|photo| photo.path.as_str()).collect();
    assert_eq!(paths.len(), dataset.photos.len(), "no photo is there twice");
    assert!(paths.iter().all(|path| path.split('/').all(|name| !matches!(name, "" | "." | ".."))));
    dataset.photos.iter().for_each(check_box);
}

fn check_box(photo: &Photo) {
    let Some(found) = photo.bbox else { return };
    assert!(found.w > 0.0 && found.h > 0.0, "{found:?}");
    let cut = found.clip(640, 480);
    let is_inside = |start: f32, length: f32, side: f32| start >= 0.0 && length >= 0.0 && start + length <= side;
    assert!(is_inside(cut.x, cut.w, 640.0) && is_inside(cut.y, cut.h, 480.0), "{found:?} is cut to {cut:?}");
    assert!((0.0..=1.0).contains(&found.iou(&cut)), "{found:?}");
}

/// Reads a split file, writes down what it says and reads that.
pub fn check_split(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match parse_file(text) {
        Ok(parts) => {
            let quoted = |name: &str| name.replace('\\', "\\\\").replace('"', "\\\"");
            let lines = parts.iter().map(|(name, part)| format!("\"{}\" {part}\n", quoted(name)));
            let again = lines.collect::<String>();
            assert_eq!(parse_file(&again).expect("what was written by the rules"), parts, "{again}");
        }
        Err(DataError::SplitLine { line, .. }) => {
            assert!(line >= 1 && line <= text.lines().count(), "line {line}");
        }
        Err(_) => {}
    }
}
