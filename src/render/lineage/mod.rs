//! A run as events of OpenLineage, which catalogues of data read: what ran, what each node read and made, and how it ended.
//!
//! One run of the program is a job, and so is each of its nodes and the publication of tables, with the run as their parent.
//! Each begins with one START and ends with exactly one COMPLETE, FAIL or ABORT. `check.py` beside this file holds a file of
//! events against the published schemas. Times for which a run was meant are absent: a scheduler knows them, not a run.

mod dataset;
mod facet;
mod identity;
mod sink;
mod stream;
mod tables;

pub use identity::target;
pub use stream::{Plan, stream};
pub use tables::Table;
