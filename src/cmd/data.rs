//! `mlsm data`: draws synthetic photos; checks a data set before a run does.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mlsm_data::synthetic::{self, SyntheticSpec};
use mlsm_data::{DataError, Dataset, LeftOut, OpenOptions, Photo, decode};
use mlsm_engine::{Event, Subscriber};
use mlsm_errors::{Explain, Explanation, Fix};
use rayon::prelude::*;
use serde::Serialize;

use crate::error::CliError;
use crate::render::stdout;
use crate::render::view::View;
use crate::settings::{Settings, Verbosity};

/// What to do with data.
#[derive(Debug, Args)]
pub struct DataArgs {
    /// Draw or check
    #[command(subcommand)]
    pub action: DataAction,
}

/// What can be done with data.
#[derive(Debug, Subcommand)]
pub enum DataAction {
    /// Draws fine-grained birds as a CUB folder: photos, classes, true boxes
    Synthesize(SynthesizeArgs),
    /// Reads a data set and every photo in it, and says what is wrong
    Check(CheckArgs),
}

/// What to draw.
#[derive(Debug, Args)]
pub struct SynthesizeArgs {
    /// A folder that is empty or does not exist yet
    dir: PathBuf,
    /// How many classes
    #[arg(long, value_name = "N", default_value_t = SyntheticSpec::default().classes)]
    classes: u32,
    /// How many photos of each class
    #[arg(long, value_name = "N", default_value_t = SyntheticSpec::default().images_per_class)]
    images: u32,
    /// The seed of every draw
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// The side of a photo in pixels
    #[arg(long, value_name = "PX", default_value_t = SyntheticSpec::default().size_px)]
    size: u32,
}

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

/// Draws or checks.
///
/// # Errors
/// [`CliError::Data`] of the data set, [`CliError::BadData`] when photos cannot be read.
pub fn data(action: &DataAction, settings: &Settings) -> Result<(), CliError> {
    let view = if settings.is_json() { View::Quiet } else { View::new(settings) };
    match action {
        DataAction::Synthesize(args) => synthesize(args, settings, &view),
        DataAction::Check(args) => check(args, settings, &view),
    }
}

fn synthesize(args: &SynthesizeArgs, settings: &Settings, view: &View) -> Result<(), CliError> {
    let spec = SyntheticSpec {
        classes: args.classes,
        images_per_class: args.images,
        seed: args.seed,
        size_px: args.size,
        ..SyntheticSpec::default()
    };
    pool(settings)?.install(|| synthetic::draw(&args.dir, &spec, &|done, total| tell(view, "draw", done, total)))?;
    view.on(&ended());
    if settings.is_json() {
        let photos = u64::from(spec.classes) * u64::from(spec.images_per_class);
        return stdout::print_json(&serde_json::json!({ "path": args.dir, "classes": spec.classes, "photos": photos }));
    }
    if settings.verbosity == Verbosity::Quiet {
        return Ok(());
    }
    let SyntheticSpec { classes, images_per_class, .. } = spec;
    let dir = args.dir.display();
    stdout::tell(&format!(
        "drew {classes} classes with {images_per_class} photos each into {dir}\n\
         use it with `mlsm run --config demo --set data.path={dir}`\n"
    ))
}

/// The answer of a check as JSON.
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
}

/// A file that is no photo of the data set.
#[derive(Serialize)]
struct LeftOutLine {
    path: String,
    reason: &'static str,
}

fn check(args: &CheckArgs, settings: &Settings, view: &View) -> Result<(), CliError> {
    let dataset = Dataset::open(&args.path, &OpenOptions { strict: args.strict, follow_links: args.follow_links })?;
    let total = dataset.photos.len();
    let done = std::sync::atomic::AtomicUsize::new(0);
    let one = |photo: &Photo| {
        let problem = problem(&dataset, photo);
        tell(view, "check", done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1, total);
        problem
    };
    let bad: Vec<DataError> = pool(settings)?.install(|| dataset.photos.par_iter().filter_map(one).collect());
    view.on(&ended());
    let sizes: Vec<_> = dataset.classes.iter().map(|c| dataset.in_class(c.class_id).count()).collect();
    let line = CheckLine {
        classes: dataset.classes.len(),
        photos: total,
        boxes: dataset.photos.iter().filter(|p| p.bbox.is_some()).count(),
        fewest_photos_of_a_class: sizes.iter().copied().min().unwrap_or(0),
        most_photos_of_a_class: sizes.iter().copied().max().unwrap_or(0),
        absent: dataset.absent,
        left_out: dataset.left_out.iter().map(left_out_line).collect(),
        bad: bad.iter().map(|error| error.explain().to_string()).collect(),
    };
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

fn problem(dataset: &Dataset, photo: &Photo) -> Option<DataError> {
    let path = dataset.images_root.join(&photo.path);
    match std::fs::read(&path) {
        Err(source) => Some(DataError::io("read", &path, source)),
        Ok(bytes) => decode::open_rgb(&bytes).err().map(|problem| DataError::image(photo.path.clone(), problem)),
    }
}

fn left_out_line(entry: &LeftOut) -> LeftOutLine {
    LeftOutLine { path: entry.path.clone(), reason: entry.reason.words() }
}

fn text(line: &CheckLine) -> String {
    let CheckLine { classes, photos, boxes, absent, bad, .. } = line;
    let (fewest, most) = (line.fewest_photos_of_a_class, line.most_photos_of_a_class);
    let bad = if bad.is_empty() { "0\n".to_owned() } else { format!("{}\n{}\n", bad.len(), bad.join("\n")) };
    let listed = |entry: &LeftOutLine| format!("{}: {}\n", entry.path.escape_debug(), entry.reason);
    let left_out = format!("{}\n{}", line.left_out.len(), line.left_out.iter().map(listed).collect::<String>());
    format!(
        "classes: {classes}\nphotos:  {photos} ({fewest} to {most} of a class, {boxes} with a true box)\n\
         absent:  {absent} listed photos have no file\nleft out: {left_out}bad:     {bad}"
    )
}

fn pool(settings: &Settings) -> Result<rayon::ThreadPool, CliError> {
    rayon::ThreadPoolBuilder::new().num_threads(settings.threads).build().map_err(|error| {
        let what = format!("cannot start {} threads", settings.threads);
        CliError::usage(what, error.to_string(), "give a smaller `--threads`")
    })
}

fn tell(view: &View, node: &str, done: usize, total: usize) {
    let (node, unit, detail) = (node.to_owned(), "photos".to_owned(), String::new());
    view.on(&Event::Progress { node, done: done as u64, total: total as u64, unit, detail });
}

fn ended() -> Event {
    Event::RunFinished { run_id: String::new(), outcome: "ok".to_owned(), nodes: Vec::new() }
}
