//! The bytes of artifacts: packed arrays for machines, Parquet for people.

mod arrays;
mod gallery;
mod parquet;
mod pixels;

pub use arrays::{Array, ArrayView, ElementType, decode, encode};
pub use gallery::Gallery;
pub use parquet::{Column, embedding_column, read_table, table};
pub use pixels::PackedPixels;
