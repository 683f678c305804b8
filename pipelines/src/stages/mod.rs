//! The stages and their tasks: the table of contents of the pipeline.
//!
//! | stage | does | file |
//! |---|---|---|
//! | `splits` | says which class is base, val or novel | `splits.rs` |
//! | `ingest` | checks, decodes and resizes photos | `ingest.rs`, `pixels.rs` |
//! | `train-base` | trains base CNNs on base classes | `train_base.rs` |
//! | `crop` | locates objects and cuts them out | `locate.rs`, `crop.rs`, `pixels.rs` |
//! | `extract` | embeds photos and crops | `extract.rs` |
//! | `meta-train` | learns a method in episodes | `meta_train.rs` |
//! | `evaluate` | measures a row on novel classes, one of many episodes in slices | `evaluate.rs`, `evaluate/` |
//! | `predict` | names the classes of a user's own photos; of `mlsm predict` alone | `predict.rs` |

mod checkpoint;
pub mod crop;
pub mod evaluate;
pub mod extract;
pub mod ingest;
pub mod locate;
pub mod meta_train;
pub mod pixels;
pub mod ports;
pub mod predict;
pub mod splits;
pub mod train_base;
