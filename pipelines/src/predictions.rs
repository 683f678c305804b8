//! What a row predicts of a user's own photos, as `predict` stores it and `mlsm predict` answers with it.

use arrow::array::{Array as _, AsArray, ListArray};
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
    /// The ids of the labelled photos that score highest one by one, and their scores, the closest first; none where the
    /// method compares classes alone.
    pub nearest: Vec<(u32, f32)>,
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
        let whats =
            |of: fn(&Photo) -> &Vec<(u32, f32)>| self.photos.iter().map(move |p| of(p).iter().map(|(what, _)| *what));
        let scores =
            |of: fn(&Photo) -> &Vec<(u32, f32)>| self.photos.iter().map(move |p| of(p).iter().map(|(_, score)| *score));
        table(vec![
            Column::Text("path", self.photos.iter().map(|photo| photo.path.clone()).collect()),
            Column::U32Lists("classes", whats(|p| &p.ranked).map(Iterator::collect).collect()),
            Column::F32Lists("scores", scores(|p| &p.ranked).map(Iterator::collect).collect()),
            Column::U32Lists("nearest", whats(|p| &p.nearest).map(Iterator::collect).collect()),
            Column::F32Lists("nearest_scores", scores(|p| &p.nearest).map(Iterator::collect).collect()),
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
            let lists = |name: &str| column(name)?.as_list_opt::<i32>().ok_or_else(damaged);
            let (classes, scores) = (lists("classes")?, lists("scores")?);
            let (nearest, nearest_scores) = (lists("nearest")?, lists("nearest_scores")?);
            let scored = |whats: &ListArray, scores: &ListArray, at: usize| {
                let (whats, scores) = (whats.value(at), scores.value(at));
                let whats = whats.as_primitive_opt::<UInt32Type>().ok_or_else(damaged)?;
                let scores = scores.as_primitive_opt::<Float32Type>().ok_or_else(damaged)?;
                Ok::<_, StageError>(whats.values().iter().copied().zip(scores.values().iter().copied()).collect())
            };
            for at in 0..paths.len() {
                let (ranked, nearest) = (scored(classes, scores, at)?, scored(nearest, nearest_scores, at)?);
                photos.push(Photo { path: paths.value(at).to_owned(), ranked, nearest });
            }
        }
        Ok(Self { row, photos })
    }
}
