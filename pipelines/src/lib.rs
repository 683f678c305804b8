//! The stages of the pipeline and their registry, the configuration, and the graph that ties them together.
//!
//! Start at [`stages`], the table of contents. [`prepare`] reads, draws
//! and hashes what a [`Config`] refers to; [`assemble`] makes both a graph for `mlsm-engine`, without touching anything.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make files and measure"))]

pub mod album;
mod artifact;
mod assemble;
mod base_net;
mod certainty;
mod config;
mod curve;
mod error;
mod kept_file;
mod model;
pub mod model_file;
mod photo_file;
pub mod predictions;
mod prepare;
mod recipe;
pub mod results;
mod runtime;
mod scoring;
pub mod similar;
pub mod stages;
pub mod support;
mod tables;
pub mod weights;

pub use assemble::{AssembleError, Assembly, Execution, assemble};
pub use certainty::Certainty;
pub use config::{Config, ConfigError, schema};
pub use mlsm_nets::DeviceChoice;
pub use prepare::{
    ListedScene, Needed, PhotoList, Preparation, Purpose, Scene, Source, imported_weights, prepare, prepare_beside,
};
pub use tables::{CONFIG, SUMMARY, TableOrigin, dictionary};
