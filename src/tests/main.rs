//! End-to-end tests: the real binary on synthetic data. One binary, so that everything is linked once.

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "tests make files, measure and print")]

mod archives;
mod bad_input;
mod batch;
mod bucket_photos;
mod cluster;
mod command_line;
mod contract;
mod flips;
mod follow;
mod incremental;
mod interrupted;
mod libtorch;
mod looking;
mod methods;
mod model;
mod predict;
mod program;
mod published;
mod report_page;
mod scene;
mod shared;
mod signals;
mod similar;
mod slices;
mod support;
mod switches;
mod tidiness;
mod torture;
mod upkeep;
mod weights;
