//! The curve of a training: what was measured at which step.

use mlsm_engine::StageError;
use serde::{Deserialize, Serialize};

use crate::artifact::{Column, table};

/// Points of a training curve, in the order in which they were measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    points: Vec<(u64, String, String, f64)>,
}

impl Curve {
    /// Adds a point: `metric` on `split` after `step` steps.
    pub fn push(&mut self, step: u64, split: &str, metric: &str, value: f64) {
        self.points.push((step, split.to_owned(), metric.to_owned(), value));
    }

    /// Tells whether nothing was measured yet.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Writes the columns step, part, metric, value.
    ///
    /// # Errors
    /// [`StageError::Failed`] when the table cannot be written.
    pub fn to_parquet(&self) -> Result<Vec<u8>, StageError> {
        table(vec![
            Column::I64("step", self.points.iter().map(|p| p.0 as i64).collect()),
            Column::Text("split", self.points.iter().map(|p| p.1.clone()).collect()),
            Column::Text("metric", self.points.iter().map(|p| p.2.clone()).collect()),
            Column::F64("value", self.points.iter().map(|p| Some(p.3)).collect()),
        ])
    }
}
