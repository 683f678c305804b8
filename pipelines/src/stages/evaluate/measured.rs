//! What was measured, and the tables that it becomes and comes from.

use arrow::array::{Array as _, AsArray, RecordBatch};
use arrow::datatypes::{ArrowPrimitiveType, Float32Type, Float64Type, Int64Type, UInt32Type};
use mlsm_data::{Episode, EpisodeSpec, ImageId};
use mlsm_engine::StageError;
use tch::Tensor;

use crate::artifact::{Column, read_table, table};
use crate::error::misfit;
use crate::stages::extract::floats;

/// What was measured, in the order of the episodes. Room is made at once: small pieces that stay, taken between the large
/// ones of each episode, would leave the heap in pieces, and it would grow with every episode.
pub(super) struct Measured {
    /// The index of the first episode.
    first: u64,
    support: Vec<u32>,
    query: Vec<u32>,
    accuracies: Vec<f64>,
    predicted: Vec<Predicted>,
    scores: Vec<f32>,
}

/// What was said of a query.
struct Predicted {
    episode: i64,
    image: u32,
    class: u32,
    predicted: u32,
}

impl Measured {
    /// Of so many episodes from the first on.
    pub(super) fn with_room(spec: &EpisodeSpec, first: u64, episodes: u64, keeps_predictions: bool) -> Self {
        let episodes = episodes as usize;
        let queries = episodes * spec.n_way * spec.n_query;
        let kept = if keeps_predictions { queries } else { 0 };
        Self {
            first,
            support: Vec::with_capacity(episodes * spec.n_way * spec.k_shot),
            query: Vec::with_capacity(queries),
            accuracies: Vec::with_capacity(episodes),
            predicted: Vec::with_capacity(kept),
            scores: Vec::with_capacity(kept * spec.n_way),
        }
    }

    pub(super) fn episode(&mut self, episode: Episode, accuracy: f64) {
        let ids = |images: Vec<Vec<ImageId>>| images.into_iter().flatten().map(|id| id.0);
        self.support.extend(ids(episode.support));
        self.query.extend(ids(episode.query));
        self.accuracies.push(accuracy);
    }

    pub(super) fn predictions(&mut self, index: u64, episode: &Episode, scores: &Tensor) -> Result<(), StageError> {
        let n_way = episode.classes.len();
        let rows = floats(scores)?;
        let truths = episode.classes.iter().zip(&episode.query).flat_map(|(c, q)| q.iter().map(move |id| (c.0, id.0)));
        for ((class, image), row) in truths.zip(rows.chunks_exact(n_way)) {
            let best = (0..n_way).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap_or(0);
            let predicted = episode.classes[best].0;
            self.predicted.push(Predicted { episode: index as i64, image, class, predicted });
            self.scores.extend_from_slice(row);
        }
        Ok(())
    }

    /// Adds the episodes of a table that [`Measured::episodes_table`] wrote.
    pub(super) fn add_episodes(&mut self, bytes: &[u8]) -> Result<(), StageError> {
        for batch in read_table(bytes)? {
            self.support.extend(list_values::<UInt32Type>(&batch, "support_ids")?);
            self.query.extend(list_values::<UInt32Type>(&batch, "query_ids")?);
            self.accuracies.extend(values::<Float64Type>(&batch, "accuracy")?);
        }
        Ok(())
    }

    /// Adds the predictions of a table that [`Measured::predictions_table`] wrote.
    pub(super) fn add_predictions(&mut self, bytes: &[u8]) -> Result<(), StageError> {
        for batch in read_table(bytes)? {
            let episodes = values::<Int64Type>(&batch, "episode")?;
            let [images, classes, predicted] =
                ["image_id", "class_id", "predicted_class_id"].map(|name| values::<UInt32Type>(&batch, name));
            let (images, classes, predicted) = (images?, classes?, predicted?);
            for (at, episode) in episodes.into_iter().enumerate() {
                let (image, class, predicted) = (images[at], classes[at], predicted[at]);
                self.predicted.push(Predicted { episode, image, class, predicted });
            }
            self.scores.extend(list_values::<Float32Type>(&batch, "scores")?);
        }
        Ok(())
    }

    /// Refuses what is not that many whole episodes.
    pub(super) fn check(&self, spec: &EpisodeSpec, episodes: u64) -> Result<(), StageError> {
        let (n, queries) = (self.accuracies.len(), self.accuracies.len() * spec.n_way * spec.n_query);
        let is_whole = n as u64 == episodes
            && self.support.len() == n * spec.n_way * spec.k_shot
            && self.query.len() == queries
            && [0, queries].contains(&self.predicted.len())
            && self.scores.len() == self.predicted.len() * spec.n_way;
        if is_whole {
            Ok(())
        } else {
            Err(misfit("cannot join the slices", format!("they have {n} of {episodes} episodes")))
        }
    }

    pub(super) fn episodes_table(&self, spec: &EpisodeSpec) -> Result<Vec<u8>, StageError> {
        let n = self.accuracies.len();
        table(vec![
            Column::I64("n_way", vec![spec.n_way as i64; n]),
            Column::I64("k_shot", vec![spec.k_shot as i64; n]),
            Column::I64("n_query", vec![spec.n_query as i64; n]),
            Column::I64("episode_seed", vec![spec.seed as i64; n]),
            Column::I64("episode", (self.first as i64..).take(n).collect()),
            Column::U32Lists("support_ids", lists(&self.support, spec.n_way * spec.k_shot)),
            Column::U32Lists("query_ids", lists(&self.query, spec.n_way * spec.n_query)),
            Column::F64("accuracy", self.accuracies.iter().map(|a| Some(*a)).collect()),
        ])
    }

    pub(super) fn predictions_table(&self, spec: &EpisodeSpec) -> Result<Vec<u8>, StageError> {
        let ids = |pick: fn(&Predicted) -> u32| self.predicted.iter().map(pick).collect();
        table(vec![
            Column::I64("episode", self.predicted.iter().map(|p| p.episode).collect()),
            Column::U32("image_id", ids(|p| p.image)),
            Column::U32("class_id", ids(|p| p.class)),
            Column::U32("predicted_class_id", ids(|p| p.predicted)),
            Column::F32Lists("scores", lists(&self.scores, spec.n_way)),
        ])
    }
}

/// Parts what lies in one row into lists of one length.
fn lists<T: Clone>(values: &[T], length: usize) -> Vec<Vec<T>> {
    values.chunks_exact(length).map(<[T]>::to_vec).collect()
}

fn absent(name: &str) -> StageError {
    misfit("cannot read a slice", format!("it has no column {name} of the kind that is written"))
}

/// Returns the numbers of a column.
fn values<T: ArrowPrimitiveType>(batch: &RecordBatch, name: &str) -> Result<Vec<T::Native>, StageError> {
    let column = batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<T>());
    Ok(column.ok_or_else(|| absent(name))?.values().to_vec())
}

/// Returns the numbers of a column of lists, one list after another.
fn list_values<T: ArrowPrimitiveType>(batch: &RecordBatch, name: &str) -> Result<Vec<T::Native>, StageError> {
    let column = batch.column_by_name(name).and_then(|column| column.as_list_opt::<i32>());
    let column = column.ok_or_else(|| absent(name))?;
    let offsets = column.value_offsets();
    let (start, end) = (offsets[0] as usize, offsets[column.len()] as usize);
    let numbers = column.values().as_primitive_opt::<T>().ok_or_else(|| absent(name))?;
    Ok(numbers.values()[start..end].to_vec())
}

#[cfg(test)]
mod tests {
    use mlsm_data::ClassId;

    use super::*;

    const SPEC: EpisodeSpec = EpisodeSpec { n_way: 2, k_shot: 1, n_query: 2, seed: 3 };

    /// Episodes that differ by their index, with scores that are no round numbers.
    fn measured(indices: std::ops::Range<u64>) -> Measured {
        let mut measured = Measured::with_room(&SPEC, indices.start, indices.end - indices.start, true);
        for index in indices {
            let image = |at: u32| ImageId(index as u32 * 10 + at);
            let episode = Episode {
                classes: vec![ClassId(index as u32 % 7), ClassId(100)],
                support: vec![vec![image(0)], vec![image(1)]],
                query: vec![vec![image(2), image(3)], vec![image(4), image(5)]],
            };
            let scores: Vec<f32> = (0..8).map(|at| ((index * 8 + at) as f32).sin()).collect();
            measured.predictions(index, &episode, &Tensor::from_slice(&scores).reshape([4, 2])).unwrap();
            measured.episode(episode, 1.0 / (index + 1) as f64);
        }
        measured
    }

    fn tables(measured: &Measured) -> [Vec<u8>; 2] {
        [measured.episodes_table(&SPEC).unwrap(), measured.predictions_table(&SPEC).unwrap()]
    }

    #[test]
    fn joined_slices_are_the_tables_of_all_episodes_to_the_byte() {
        let whole = tables(&measured(0..3000)); // more rows than are read at once
        for cuts in [vec![0, 1000, 2000, 3000], vec![0, 1, 2999, 3000]] {
            let mut joined = Measured::with_room(&SPEC, 0, 3000, true);
            for slice in cuts.windows(2) {
                let [episodes, predictions] = tables(&measured(slice[0]..slice[1]));
                joined.add_episodes(&episodes).unwrap();
                joined.add_predictions(&predictions).unwrap();
            }
            joined.check(&SPEC, 3000).unwrap();
            assert!(tables(&joined) == whole, "{cuts:?}");
        }
    }

    #[test]
    fn slices_that_are_not_all_of_it_are_refused() {
        let mut joined = Measured::with_room(&SPEC, 0, 20, true);
        joined.add_episodes(&tables(&measured(0..10))[0]).unwrap();
        assert!(joined.check(&SPEC, 20).is_err());
        assert!(joined.check(&SPEC, 10).is_ok(), "predictions are kept or not");
        assert!(joined.add_predictions(&tables(&measured(0..10))[0]).is_err(), "a table of another kind");
    }
}
