//! Synthetic fine-grained birds, drawn as a genuine CUB folder: data for demonstrations and tests.
//!
//! Every class is one invented species with a consistent combination of shape, plumage and marks; every
//! photo shows one bird of it, small and sharp, anywhere in front of a clutter that is out of focus, as through a long
//! lens. So a small network finds birds of kinds that it never saw, looking at the bird helps, and a fixed centre box
//! does not. Nothing here is read by a stage: a stage reads the folder, as it would a
//! real one.

mod background;
mod bird;
mod chance;
mod names;
mod photo;
mod pose;
mod raster;
mod spec;
mod species;
mod write;

#[cfg(test)]
mod tests;

pub use spec::SyntheticSpec;
pub use write::draw;
