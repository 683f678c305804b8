//! `mlsm data check`: what of a data set cannot be used, stands in it twice, or is too little.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Args;
use mlsm_data::looks::{Looks, alike};
use mlsm_data::{BoundingBox, DataError, Dataset, LeftOut, OpenOptions, Photo, decode};
use mlsm_engine::Subscriber;
use mlsm_errors::{Explain, Explanation, Fix};
use mlsm_store::Digest;
use rayon::prelude::*;
use serde::Serialize;

use super::{ended, pool, tell};
use crate::error::CliError;
use crate::render::stdout;
use crate::render::view::View;
use crate::settings::Settings;

/// Photos that a class needs in an episode of the papers: five labelled ones and fifteen queries.
const ENOUGH: usize = 20;

/// By how many pixels a box may leave its photo: boxes are rounded.
const OVERSHOOT_PX: f32 = 1.0;

/// What to check.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// A CUB folder, or a folder with one folder of photos for each class
    path: PathBuf,
    /// Counts a listed photo that is absent as an error
    #[arg(long)]
    strict: bool,
    /// Follows links; otherwise they are left out and listed
    #[arg(long)]
    follow_links: bool,
}

/// The answer as JSON.
#[derive(Serialize)]
struct CheckLine {
    classes: usize,
    photos: usize,
    boxes: usize,
    fewest_photos_of_a_class: usize,
    most_photos_of_a_class: usize,
    absent: usize,
    left_out: Vec<LeftOutLine>,
    bad: Vec<String>,
    doubled: Vec<PairLine>,
    small_classes: Vec<ClassLine>,
    boxes_outside: Vec<BoxLine>,
}

/// A file that is no photo of the data set.
#[derive(Serialize)]
struct LeftOutLine {
    path: String,
    reason: &'static str,
}

/// Two photos that are the same, or look alike.
#[derive(Serialize)]
struct PairLine {
    photos: [String; 2],
    same_file: bool,
    same_class: bool,
}

/// A class with few photos.
#[derive(Serialize)]
struct ClassLine {
    class: String,
    photos: usize,
}

/// A box that leaves its photo.
#[derive(Serialize)]
struct BoxLine {
    path: String,
    by_px: f32,
}

/// What was found in one photo.
struct Seen {
    digest: Digest,
    looks: Looks,
    outside_px: f32,
}

/// Checks a data set.
///
/// # Errors
/// [`CliError::Data`] of the data set, [`CliError::BadData`] when photos cannot be read.
pub fn check(args: &CheckArgs, settings: &Settings, view: &View) -> Result<(), CliError> {
    let dataset = Dataset::open(&args.path, &OpenOptions { strict: args.strict, follow_links: args.follow_links })?;
    let total = dataset.photos.len();
    let done = AtomicUsize::new(0);
    let one = |photo: &Photo| {
        let seen = look(&dataset, photo);
        tell(view, "check", done.fetch_add(1, Ordering::Relaxed) + 1, total);
        seen
    };
    let seen: Vec<Result<Seen, DataError>> = pool(settings)?.install(|| dataset.photos.par_iter().map(one).collect());
    view.on(&ended());
    let line = line(&dataset, &seen);
    if settings.is_json() {
        stdout::print_json(&line)?
    } else {
        stdout::tell(&text(&line))?
    }
    if line.bad.is_empty() {
        return Ok(());
    }
    let said = Explanation::new(format!("{} of {total} photos cannot be used", line.bad.len()));
    let said = said.because(line.bad[0].as_str()).fix("mend or remove them");
    Err(CliError::BadData(said.fix(Fix::set("data.on_bad_image", "\"skip\""))))
}

fn look(dataset: &Dataset, photo: &Photo) -> Result<Seen, DataError> {
    let path = dataset.images_root.join(&photo.path);
    let bytes = std::fs::read(&path).map_err(|source| DataError::io("read", &path, source))?;
    let image = decode::open_rgb(&bytes).map_err(|problem| DataError::image(photo.path.clone(), problem))?;
    let (width, height) = image.dimensions();
    let outside_px = photo.bbox.map_or(0.0, |bbox| outside(&bbox, width as f32, height as f32));
    Ok(Seen { digest: Digest::of(&bytes), looks: Looks::of(&image), outside_px })
}

/// By how many pixels a box leaves a photo of that size.
fn outside(bbox: &BoundingBox, width: f32, height: f32) -> f32 {
    let BoundingBox { x, y, w, h } = *bbox;
    [-x, -y, x + w - width, y + h - height].into_iter().fold(0.0, f32::max)
}

fn line(dataset: &Dataset, seen: &[Result<Seen, DataError>]) -> CheckLine {
    let sizes: Vec<_> = dataset.classes.iter().map(|c| (&c.name, dataset.in_class(c.class_id).count())).collect();
    let small = sizes.iter().filter(|(_, photos)| *photos < ENOUGH);
    let photos = || dataset.photos.iter().zip(seen).filter_map(|(photo, seen)| Some((photo, seen.as_ref().ok()?)));
    let outside = photos().filter(|(_, seen)| seen.outside_px > OVERSHOOT_PX);
    CheckLine {
        classes: dataset.classes.len(),
        photos: dataset.photos.len(),
        boxes: dataset.photos.iter().filter(|p| p.bbox.is_some()).count(),
        fewest_photos_of_a_class: sizes.iter().map(|(_, photos)| *photos).min().unwrap_or(0),
        most_photos_of_a_class: sizes.iter().map(|(_, photos)| *photos).max().unwrap_or(0),
        absent: dataset.absent,
        left_out: dataset.left_out.iter().map(left_out_line).collect(),
        bad: seen.iter().filter_map(|seen| Some(seen.as_ref().err()?.explain().to_string())).collect(),
        doubled: doubled(&photos().collect::<Vec<_>>()),
        small_classes: small.map(|(name, photos)| ClassLine { class: (*name).clone(), photos: *photos }).collect(),
        boxes_outside: outside.map(|(p, seen)| BoxLine { path: p.path.clone(), by_px: seen.outside_px }).collect(),
    }
}

/// Returns each photo that is the same as one before it or looks like it, beside the first such.
fn doubled(photos: &[(&Photo, &Seen)]) -> Vec<PairLine> {
    let looks: Vec<Looks> = photos.iter().map(|(_, seen)| seen.looks).collect();
    let line = |(a, b): (usize, usize)| {
        let ((first, of_first), (second, of_second)) = (photos[a], photos[b]);
        PairLine {
            photos: [first.path.clone(), second.path.clone()],
            same_file: of_first.digest == of_second.digest,
            same_class: first.class_id == second.class_id,
        }
    };
    alike(&looks).into_iter().map(line).collect()
}

fn left_out_line(entry: &LeftOut) -> LeftOutLine {
    LeftOutLine { path: entry.path.clone(), reason: entry.reason.words() }
}

fn text(line: &CheckLine) -> String {
    let CheckLine { classes, photos, boxes, absent, .. } = line;
    let (fewest, most) = (line.fewest_photos_of_a_class, line.most_photos_of_a_class);
    let list = |heading: &str, lines: Vec<String>| {
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        format!("{heading}\n{lines}")
    };
    let pair = |PairLine { photos: [a, b], same_file, same_class }: &PairLine| {
        let how = if *same_file { "the same file" } else { "look alike" };
        let across = if *same_class { "" } else { ", in two classes" };
        format!("{} and {}: {how}{across}", a.escape_debug(), b.escape_debug())
    };
    let left_out = line.left_out.iter().map(|e| format!("{}: {}", e.path.escape_debug(), e.reason)).collect();
    let small = line.small_classes.iter().map(|c| format!("{}: {}", c.class.escape_debug(), c.photos)).collect();
    let outside = line.boxes_outside.iter().map(|b| format!("{}: by {} px", b.path.escape_debug(), b.by_px)).collect();
    [
        format!("classes: {classes}\nphotos:  {photos} ({fewest} to {most} of a class, {boxes} with a true box)\n"),
        format!("absent:  {absent} listed photos have no file\n"),
        list(&format!("left out: {}", line.left_out.len()), left_out),
        list(&format!("bad:     {}", line.bad.len()), line.bad.clone()),
        list(&format!("doubled: {} pairs", line.doubled.len()), line.doubled.iter().map(pair).collect()),
        list(&format!("small:   {} classes with fewer than {ENOUGH} photos", line.small_classes.len()), small),
        list(&format!("boxes that leave their photo: {}", line.boxes_outside.len()), outside),
    ]
    .concat()
}
