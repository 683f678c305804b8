//! The only printers: stdout carries results, stderr everything else. Runs are shown by subscribers to their events.

pub mod appended;
pub mod bytes;
pub mod json;
pub mod lineage;
pub mod lines;
pub mod metrics;
pub mod pace;
pub mod progress;
pub mod report;
pub mod screen;
pub mod stderr;
pub mod stdout;
pub mod summary;
pub mod table;
pub mod terminal;
pub mod view;
