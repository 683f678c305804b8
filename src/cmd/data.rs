//! `mlsm data`: draws synthetic photos; checks a data set before a run does.

mod check;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mlsm_data::synthetic::{self, SyntheticSpec};
use mlsm_engine::{Event, Subscriber};

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
    /// Reads a data set and every photo in it, and says what is wrong, doubled or too little
    Check(check::CheckArgs),
}

/// What to draw.
#[derive(Debug, Args)]
pub struct SynthesizeArgs {
    /// A folder that is empty or does not exist yet; one whose drawing was stopped is drawn again by the same command
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

/// Draws or checks.
///
/// # Errors
/// [`CliError::Data`] of the data set, [`CliError::BadData`] when photos cannot be read.
pub fn data(action: &DataAction, settings: &Settings) -> Result<(), CliError> {
    let view = if settings.is_json() { View::Quiet } else { View::new(settings) };
    match action {
        DataAction::Synthesize(args) => synthesize(args, settings, &view),
        DataAction::Check(args) => check::check(args, settings, &view),
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
