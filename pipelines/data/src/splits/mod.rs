//! Splits: which class belongs to base, val or novel. By class, never by photo.

mod assign;
#[cfg(test)]
mod cub_image_counts;
mod file;
mod named;

pub use assign::{Assigned, SplitRule, assign};
pub use file::parse_file;
pub use named::{NamedSplit, SPLITS};
