//! `mlsm report --out FILE.html` and `mlsm predict --report FILE.html`: pages that hold all they show. What they say stands
//! in `README.md`.

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
mod lineage;
mod page;
pub mod predictions;
mod rows;
mod thumbnail;
mod timings;

pub use page::to_html;

#[cfg(test)]
mod tests;
