//! Writes the drawn photos as a CUB folder: `images/`, the five text files, ids from 1.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use image::codecs::jpeg::JpegEncoder;
use rayon::prelude::*;

use super::photo::DrawnPhoto;
use super::spec::SyntheticSpec;
use super::species::Species;
use crate::DataError;

/// JPEG quality of the photos.
const QUALITY: u8 = 90;

/// Lies in a folder while it is drawn into, and says what is drawn.
const UNFINISHED: &str = ".drawing";

/// One line of the metadata files.
struct Entry {
    path: String,
    class_id: u32,
    tight: [u32; 4],
    train: bool,
}

/// Draws a data set into `dir` as a CUB folder (official style: ids from 1, boxes as `x y width height`).
///
/// A drawing that was stopped is begun again by the same request: what it drew is written over with the same bytes.
///
/// `progress` is told photos done and photos in all, from several threads. The bytes depend on `spec`
/// alone: a class or photo more changes no other photo (ids are in order, so they may move).
///
/// # Errors
/// When the spec cannot be drawn, `dir` holds something already, or it cannot be written.
pub fn draw(dir: &Path, spec: &SyntheticSpec, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<(), DataError> {
    spec.check()?;
    let unfinished = prepare(dir, spec)?;
    let species: Vec<Species> = (0..spec.classes).map(|index| Species::draw(spec, index)).collect();
    let folders: Vec<String> =
        species.iter().enumerate().map(|(index, one)| format!("{:03}.{}", index + 1, one.name)).collect();
    for folder in &folders {
        let path = dir.join("images").join(folder);
        fs::create_dir_all(&path).map_err(|source| unwritable(&path, source))?;
    }
    let units: Vec<(u32, u32)> =
        (0..spec.classes).flat_map(|index| (0..spec.images_per_class).map(move |number| (index, number))).collect();
    let done = AtomicUsize::new(0);
    let entries = units
        .par_iter()
        .map(|&(index, number)| {
            let (one, folder) = (&species[index as usize], &folders[index as usize]);
            let path = format!("{folder}/{}_{:04}.jpg", one.name, number + 1);
            let photo = DrawnPhoto::draw(spec, one, index, number);
            write_photo(&dir.join("images").join(&path), &photo)?;
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, units.len());
            Ok(Entry { path, class_id: index + 1, tight: photo.tight_box(), train: number % 2 == 0 })
        })
        .collect::<Result<Vec<Entry>, DataError>>()?;
    write_metadata(dir, &folders, &entries)?;
    #[expect(clippy::disallowed_methods, reason = "its own mark")]
    fs::remove_file(&unfinished).map_err(|source| unwritable(&unfinished, source))
}

/// Marks the folder as unfinished; returns the mark. Refuses what holds anything but an unfinished drawing of the same spec.
fn prepare(dir: &Path, spec: &SyntheticSpec) -> Result<PathBuf, DataError> {
    fs::create_dir_all(dir).map_err(|source| unwritable(dir, source))?;
    let (unfinished, wanted) = (dir.join(UNFINISHED), format!("{spec:?}\n"));
    if fs::read_to_string(&unfinished).is_ok_and(|found| found == wanted) {
        return Ok(unfinished);
    }
    let mut held = fs::read_dir(dir).map_err(|source| unwritable(dir, source))?;
    if held.any(|entry| entry.is_ok_and(|entry| entry.file_name() != UNFINISHED)) {
        return Err(DataError::NotEmpty { path: dir.to_path_buf() });
    }
    #[expect(clippy::disallowed_methods, reason = "draws into a folder that the store or a user gave")]
    fs::write(&unfinished, wanted).map_err(|source| unwritable(&unfinished, source))?;
    Ok(unfinished)
}

fn unwritable(path: &Path, source: std::io::Error) -> DataError {
    DataError::Io { path: path.to_path_buf(), action: "write", source }
}

fn write_photo(path: &Path, photo: &DrawnPhoto) -> Result<(), DataError> {
    let mut bytes = Cursor::new(Vec::new());
    photo
        .image
        .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, QUALITY))
        .map_err(|problem| unwritable(path, std::io::Error::other(problem)))?;
    #[expect(clippy::disallowed_methods, reason = "draws into a folder that the store or a user gave")]
    fs::write(path, bytes.into_inner()).map_err(|source| unwritable(path, source))
}

fn write_metadata(dir: &Path, folders: &[String], entries: &[Entry]) -> Result<(), DataError> {
    let lines = |line: &dyn Fn(&Entry) -> String| -> String {
        entries.iter().enumerate().map(|(index, entry)| format!("{} {}\n", index + 1, line(entry))).collect()
    };
    let classes = folders.iter().enumerate().map(|(index, folder)| format!("{} {folder}\n", index + 1)).collect();
    let files: [(&str, String); 5] = [
        ("images.txt", lines(&|entry| entry.path.clone())),
        ("image_class_labels.txt", lines(&|entry| entry.class_id.to_string())),
        ("classes.txt", classes),
        (
            "bounding_boxes.txt",
            lines(&|entry| {
                let [x, y, w, h] = entry.tight;
                format!("{x}.0 {y}.0 {w}.0 {h}.0")
            }),
        ),
        ("train_test_split.txt", lines(&|entry| u8::from(entry.train).to_string())),
    ];
    for (name, text) in files {
        let path = dir.join(name);
        #[expect(clippy::disallowed_methods, reason = "draws into a folder that the store or a user gave")]
        fs::write(&path, text).map_err(|source| unwritable(&path, source))?;
    }
    Ok(())
}
