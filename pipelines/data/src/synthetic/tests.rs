//! The drawn data set as its users need it: repeatable, honest boxes, birds anywhere, classes apart.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::background::background;
use super::bird::bird;
use super::photo::DrawnPhoto;
use super::pose::{Pose, individual};
use super::species::Species;
use super::{SyntheticSpec, draw};
use crate::streams::stream;
use crate::{ClassId, DataError, Dataset, OpenOptions};

fn small() -> SyntheticSpec {
    SyntheticSpec { classes: 4, images_per_class: 5, size_px: 96, ..SyntheticSpec::default() }
}

fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

fn drawn(spec: &SyntheticSpec) -> BTreeMap<String, Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path(), spec, &|_, _| ()).unwrap();
    files(dir.path())
}

#[test]
fn equal_specs_give_equal_bytes_on_any_number_of_threads() {
    let on =
        |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| drawn(&small()));
    let (one, three) = (on(1), on(3));
    assert_eq!(one.len(), 4 * 5 + 5);
    assert_eq!(one, three);
}

#[test]
fn the_drawing_is_the_one_that_results_were_measured_on() {
    // A deliberate change of the drawing changes this digest, and every result on synthetic photos.
    let spec = small();
    let photo = DrawnPhoto::draw(&spec, &Species::draw(&spec, 2), 2, 3);
    assert_eq!(blake3::hash(photo.image.as_raw()).to_hex()[..16], *"c933a3f9f624502c");
}

#[test]
fn another_seed_gives_other_photos() {
    let other = drawn(&SyntheticSpec { seed: 1, ..small() });
    let bytes: Vec<_> = drawn(&small()).into_values().filter(|bytes| bytes.starts_with(&[0xff, 0xd8])).collect();
    assert!(other.values().all(|one| !bytes.contains(one)));
}

#[test]
fn a_further_class_or_photo_changes_no_other_photo() {
    let few = drawn(&small());
    let more = drawn(&SyntheticSpec { classes: 6, images_per_class: 7, ..small() });
    for (name, bytes) in few.iter().filter(|(name, _)| name.ends_with(".jpg")) {
        assert_eq!(more.get(name), Some(bytes), "{name}");
    }
    assert_eq!(more.len(), 6 * 7 + 5);
}

#[test]
fn the_folder_opens_as_a_dataset_with_true_boxes() {
    let spec = small();
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path(), &spec, &|_, _| ()).unwrap();
    let dataset = Dataset::open(dir.path(), &OpenOptions { strict: true, follow_links: false }).unwrap();
    assert_eq!((dataset.classes.len(), dataset.photos.len(), dataset.absent), (4, 20, 0));
    let second = dataset.in_class(ClassId(3)).nth(1).unwrap();
    let [x, y, w, h] = DrawnPhoto::draw(&spec, &Species::draw(&spec, 2), 2, 1).tight_box().map(|v| v as f32);
    let read = second.bbox.unwrap();
    assert_eq!([read.x, read.y, read.w, read.h], [x, y, w, h]);
}

#[test]
fn progress_ends_with_every_photo_done() {
    let dir = tempfile::tempdir().unwrap();
    let most = std::sync::Mutex::new((0, 0));
    draw(dir.path(), &small(), &|done, all| {
        let mut most = most.lock().unwrap();
        *most = (most.0.max(done), all);
    })
    .unwrap();
    assert_eq!(most.into_inner().unwrap(), (20, 20));
}

#[test]
fn a_folder_that_holds_something_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mine.txt"), "precious").unwrap();
    let error = draw(dir.path(), &small(), &|_, _| ()).unwrap_err();
    assert!(matches!(error, DataError::NotEmpty { .. }), "{error}");
    assert_eq!(files(dir.path()).len(), 1);
}

#[test]
fn a_spec_that_cannot_be_drawn_is_refused_before_anything_is_written() {
    let wrong = [
        SyntheticSpec { classes: 0, ..small() },
        SyntheticSpec { size_px: 8, ..small() },
        SyntheticSpec { bird_side: [0.7, 0.3], ..small() },
        SyntheticSpec { bird_side: [f32::NAN, 0.3], ..small() },
        SyntheticSpec { camouflage: 1.5, ..small() },
        SyntheticSpec { blur: [0.1, 0.05], ..small() },
        SyntheticSpec { blur: [0.0, f32::NAN], ..small() },
        SyntheticSpec { relatives: 0, ..small() },
    ];
    for spec in wrong {
        let dir = tempfile::tempdir().unwrap();
        let error = draw(&dir.path().join("new"), &spec, &|_, _| ()).unwrap_err();
        assert!(matches!(error, DataError::Synthetic { .. }), "{spec:?}");
        assert!(!dir.path().join("new").exists());
    }
}

/// Which pixels a bird changes, found by laying it over its background again.
fn changed_extent(spec: &SyntheticSpec, species: &Species, index: u32, number: u32) -> [u32; 4] {
    let unit = u64::from(index) << 32 | u64::from(number);
    let before = background(&mut stream(spec.seed, "synthetic background", unit), spec);
    let mut rng = stream(spec.seed, "synthetic pose", unit);
    let pose = Pose::draw(&mut rng, spec);
    let fills = bird(species, &individual(&mut rng, &species.plumage, spec.variation), &pose.stance);
    let place = pose.place(&fills, spec.size_px as f32);
    let mut after = before.clone();
    fills.iter().for_each(|fill| after.lay(&place, fill, 1.0, 1.0, None));
    let size = spec.size_px;
    let mut extent = [size, size, 0, 0];
    for (at, (a, b)) in before.pixels.iter().zip(&after.pixels).enumerate() {
        if a != b {
            let (x, y) = (at as u32 % size, at as u32 / size);
            extent = [extent[0].min(x), extent[1].min(y), extent[2].max(x + 1), extent[3].max(y + 1)];
        }
    }
    extent
}

#[test]
fn boxes_are_tight_around_what_the_bird_changed() {
    let spec = SyntheticSpec { size_px: 160, ..small() };
    for index in 0..4 {
        let species = Species::draw(&spec, index);
        for number in 0..6 {
            let [x, y, w, h] = DrawnPhoto::draw(&spec, &species, index, number).tight_box();
            let [x0, y0, x1, y1] = changed_extent(&spec, &species, index, number);
            // The box leaves out pixels covered by less than half: a thin tip fades over a few pixels.
            for (inner, outer) in [(x0, x), (y0, y), (x + w, x1), (y + h, y1)] {
                assert!(inner <= outer && outer - inner <= 4, "{index} {number}: {:?}", [x0, y0, x1, y1, x, y, w, h]);
            }
        }
    }
}

#[test]
fn birds_keep_their_drawn_size_and_lie_anywhere_in_the_frame() {
    let spec = SyntheticSpec { classes: 1, ..small() };
    let species = Species::draw(&spec, 0);
    let size = spec.size_px as f32;
    let [shortest, longest] = spec.bird_side;
    let mut cells = [[0; 3]; 3];
    let mut held_by_centre = 0;
    for number in 0..300 {
        let [x, y, w, h] = DrawnPhoto::draw(&spec, &species, 0, number).tight_box().map(|v| v as f32 / size);
        assert!(x >= 0.0 && y >= 0.0 && x + w <= 1.0 && y + h <= 1.0);
        let side = w.max(h);
        assert!((shortest - 0.08..=longest + 0.02).contains(&side), "{side}");
        let cell = |start: f32, length: f32| (start / (1.0 - length) * 2.999) as usize;
        cells[cell(y, h).min(2)][cell(x, w).min(2)] += 1;
        held_by_centre += usize::from(x >= 0.15 && y >= 0.15 && x + w <= 0.85 && y + h <= 0.85);
    }
    assert!(cells.iter().flatten().all(|&count| count >= 15), "{cells:?}");
    assert!(held_by_centre < 150, "{held_by_centre} of 300 lie in the centre box of 70 %");
}

/// Mean colour of a photo under its bird's mask.
fn mean_colour(photo: &DrawnPhoto) -> [f32; 3] {
    let mut sum = [0.0f32; 4];
    for (pixel, covered) in photo.image.pixels().zip(&photo.mask) {
        (0..3).for_each(|i| sum[i] += f32::from(pixel.0[i]) * covered);
        sum[3] += covered;
    }
    [0, 1, 2].map(|i| sum[i] / sum[3])
}

#[test]
fn birds_of_one_class_are_more_alike_than_birds_of_two() {
    let spec = SyntheticSpec { classes: 12, ..small() };
    let colours: Vec<Vec<[f32; 3]>> = (0..spec.classes)
        .map(|index| {
            let species = Species::draw(&spec, index);
            (0..6).map(|number| mean_colour(&DrawnPhoto::draw(&spec, &species, index, number))).collect()
        })
        .collect();
    let distance = |a: &[f32; 3], b: &[f32; 3]| (0..3).map(|i| (a[i] - b[i]) * (a[i] - b[i])).sum::<f32>().sqrt();
    let mean = |same: bool| {
        let mut sum = (0.0, 0.0);
        for (i, left) in colours.iter().enumerate() {
            for right in colours.iter().enumerate().filter(|(j, _)| (*j == i) == same).map(|(_, right)| right) {
                for (a, b) in left.iter().flat_map(|a| right.iter().map(move |b| (a, b))).filter(|(a, b)| a != b) {
                    sum = (sum.0 + distance(a, b), sum.1 + 1.0);
                }
            }
        }
        sum.0 / sum.1
    };
    assert!(mean(true) * 1.2 < mean(false), "{} within, {} between", mean(true), mean(false));
}

#[test]
fn no_two_species_look_the_same_and_relatives_share_their_shape() {
    let spec = SyntheticSpec { classes: 60, relatives: 3, ..small() };
    let all: Vec<Species> = (0..spec.classes).map(|index| Species::draw(&spec, index)).collect();
    for (i, one) in all.iter().enumerate() {
        for (j, other) in all.iter().enumerate().skip(i + 1) {
            assert!(one.plumage != other.plumage && one.marks != other.marks, "{i} and {j}");
            if i / 3 == j / 3 {
                assert_eq!(one.build.tail_end, other.build.tail_end);
                assert!((one.build.body_depth / other.build.body_depth - 1.0).abs() < 0.2);
            }
        }
    }
}

#[test]
fn a_drawing_that_was_stopped_is_begun_again_by_the_same_request_alone() {
    let (whole, struck) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    draw(whole.path(), &small(), &|_, _| ()).unwrap();
    let stopped = std::panic::catch_unwind(|| draw(struck.path(), &small(), &|done, _| assert!(done < 5)));
    assert!(stopped.is_err());
    fs::write(struck.path().join("images.txt"), "cut o").unwrap();
    let other = SyntheticSpec { seed: 9, ..small() };
    let refused = draw(struck.path(), &other, &|_, _| ()).unwrap_err();
    assert!(matches!(refused, DataError::NotEmpty { .. }), "photos of two requests would lie together: {refused}");
    draw(struck.path(), &small(), &|_, _| ()).unwrap();
    assert_eq!(files(struck.path()), files(whole.path()));
    let marked = tempfile::tempdir().unwrap();
    fs::write(marked.path().join(".drawing"), "Synth").unwrap(); // stopped within its first write
    draw(marked.path(), &small(), &|_, _| ()).unwrap();
    let again = draw(struck.path(), &small(), &|_, _| ()).unwrap_err();
    assert!(matches!(again, DataError::NotEmpty { .. }), "it is whole: {again}");
}
