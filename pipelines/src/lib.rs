//! The stages of the pipeline and their registry, the configuration, and the graph that ties them together.
//!
//! Start at [`stages`], the table of contents. `assemble` turns a [`Config`] into a graph for `mlsm-engine`.

mod artifact;
mod assemble;
mod base_net;
mod config;
mod curve;
mod model;
pub mod results;
mod runtime;
mod scoring;
pub mod stages;
mod tables;
pub mod weights;

pub use assemble::{AssembleError, Assembly, Execution, Purpose, assemble, assemble_prediction};
pub use config::{Config, ConfigError};
pub use mlsm_nets::DeviceChoice;
pub use tables::dictionary;
