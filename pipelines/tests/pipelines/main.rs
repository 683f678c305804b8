//! Configurations and the graphs they become, without running any of it.

mod config;
mod fixed;
mod graph;
mod schema;
