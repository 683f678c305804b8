//! What the fuzz targets ask of the readers, beyond that they do not panic.
//!
//! The readers of weights lie in crates that link libtorch and need none of it: their files are compiled in here.

pub mod archive;
pub mod error;
pub mod lists;
pub mod photo;
pub mod store;
pub mod weights;

#[path = "../../src/artifact/arrays.rs"]
pub mod arrays;
#[path = "../../src/kept_file.rs"]
mod kept_file;
#[path = "../../nets/src/pth/mod.rs"]
pub mod pth;
