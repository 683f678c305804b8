//! `mlsm report --out FILE.html`: one page that holds all it shows. What it says stands in `README.md`.

mod accuracy;
mod configuration;
mod confusion;
pub mod content;
mod curves;
mod differences;
mod embedding;
mod episode;
mod escape;
mod figure;
mod gallery;
mod page;
mod rows;
mod thumbnail;
mod timings;

pub use page::to_html;

#[cfg(test)]
mod tests;
