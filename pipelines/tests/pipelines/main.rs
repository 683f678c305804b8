//! Configurations and the graphs they become, without running any of it.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "tests make files, measure and print")]

mod config;
mod fixed;
mod graph;
mod opened_once;
mod schema;
