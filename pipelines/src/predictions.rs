//! What a row predicts of a user's own photos, as `predict` stores it and `mlsm predict` answers with it.

use arrow::array::{Array as _, AsArray};
use arrow::datatypes::{Float32Type, UInt32Type};
use mlsm_engine::StageError;
use serde::{Deserialize, Serialize};

use crate::artifact::{Column, read_table, table};
use crate::certainty::Certainty;
use crate::error::misfit;

/// What all photos have in common.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The names of the classes.
    pub classes: Vec<String>,
    /// How scores become probabilities.
    pub certainty: Certainty,
}

/// A photo: what its classes scored, the closest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Photo {
    /// Its path below the folder that was asked for.
    pub path: String,
    /// Places of [`Row::classes`], and their scores; none of a photo that could not be read.
    pub ranked: Vec<(u32, f32)>,
}

/// Predictions, by path.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// What all have in common.
    pub row: Row,
    /// The photos.
    pub photos: Vec<Photo>,
}

impl Predictions {
    /// Writes the artifact `row`.
    pub(crate) fn row_to_json(&self) -> Vec<u8> {
        serde_json::to_vec(&self.row).expect("names and numbers are written")
    }

    /// Writes the artifact `predictions`.
    ///
    /// # Errors
    /// [`StageError::Failed`] when the table cannot be written.
    pub(crate) fn to_parquet(&self) -> Result<Vec<u8>, StageError> {
        let ranked = || self.photos.iter().map(|photo| &photo.ranked);
        table(vec![
            Column::Text("path", self.photos.iter().map(|photo| photo.path.clone()).collect()),
            Column::U32Lists("classes", ranked().map(|r| r.iter().map(|(class, _)| *class).collect()).collect()),
            Column::F32Lists("scores", ranked().map(|r| r.iter().map(|(_, score)| *score).collect()).collect()),
        ])
    }

    /// Reads both artifacts.
    ///
    /// # Errors
    /// [`StageError::Failed`] when they are not what was written.
    pub fn read(row: &[u8], predictions: &[u8]) -> Result<Self, StageError> {
        let damaged = || misfit("cannot read predictions", "they lack a column");
        let row: Row =
            serde_json::from_slice(row).map_err(|e| misfit("cannot read the row of predictions", e.to_string()))?;
        let mut photos = Vec::new();
        for batch in read_table(predictions)? {
            let column = |name: &str| batch.column_by_name(name).ok_or_else(damaged);
            let paths = column("path")?.as_string_opt::<i32>().ok_or_else(damaged)?;
            let classes = column("classes")?.as_list_opt::<i32>().ok_or_else(damaged)?;
            let scores = column("scores")?.as_list_opt::<i32>().ok_or_else(damaged)?;
            for at in 0..paths.len() {
                let (of_photo, its) = (classes.value(at), scores.value(at));
                let of_photo = of_photo.as_primitive_opt::<UInt32Type>().ok_or_else(damaged)?;
                let its = its.as_primitive_opt::<Float32Type>().ok_or_else(damaged)?;
                let ranked = of_photo.values().iter().copied().zip(its.values().iter().copied()).collect();
                photos.push(Photo { path: paths.value(at).to_owned(), ranked });
            }
        }
        Ok(Self { row, photos })
    }
}
