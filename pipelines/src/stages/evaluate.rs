//! `evaluate`: measures one row on episodes of novel classes, from what is stored.
//!
//! Every row of one setting is measured on the same episodes, a function of the seed alone, so that rows can be
//! compared pair by pair. This is the only stage that reads novel labels, and only to count what was right.

use std::sync::Arc;

use mlsm_data::{Episode, EpisodeSpec, ImageId};
use mlsm_engine::{Context, Outputs, Port, StageError, Task};
use mlsm_errors::Explain;
use mlsm_store::Field;
use tch::Tensor;

use super::extract::floats;
use crate::artifact::{Column, table};
use crate::model::accuracy;
use crate::recipe::field;
use crate::runtime::Runtime;
use crate::scoring::{Scorer, Scoring};

/// Measures a row. Outputs: `episodes`, and `predictions` where they are kept. What the row is called is no part of it:
/// that is joined when tables are published.
pub struct Evaluate {
    /// How queries are scored.
    pub scoring: Scoring,
    /// Episodes: way, shot, queries, seed.
    pub spec: EpisodeSpec,
    /// How many episodes.
    pub episodes: u64,
    /// Whether predictions are kept.
    pub keep_predictions: bool,
    /// Where to compute.
    pub runtime: Arc<Runtime>,
}

impl Task for Evaluate {
    fn stage(&self) -> &'static str {
        "evaluate"
    }

    fn version(&self) -> u32 {
        5
    }

    fn recipe(&self) -> Vec<Field> {
        let Self { scoring, spec, episodes, keep_predictions, runtime: _ } = self;
        let EpisodeSpec { n_way, k_shot, n_query, seed } = spec;
        let mut fields = scoring.fields();
        fields.extend([
            field("n_way", *n_way as i64),
            field("k_shot", *k_shot as i64),
            field("n_query", *n_query as i64),
            field("episodes", *episodes as i64),
            field("seed", *seed as i64),
            field("keep_predictions", *keep_predictions),
        ]);
        fields
    }

    fn inputs(&self) -> Vec<Port> {
        self.scoring.ports()
    }

    fn outputs(&self) -> &'static [&'static str] {
        match self.keep_predictions {
            true => &["episodes", "predictions"],
            false => &["episodes"],
        }
    }

    fn threads(&self) -> usize {
        self.runtime.occupied()
    }

    fn wants_device(&self) -> bool {
        true
    }

    fn run(&self, context: &Context<'_>) -> Result<Outputs, StageError> {
        let device = self.runtime.device()?;
        let scorer = Scorer::open(&self.scoring, context, device)?;
        let known = scorer.known(&self.scoring, device)?;
        let pool = scorer.photos().pool();
        pool.check(&self.spec)
            .map_err(|e| StageError::BadData(e.explain().within("the novel classes do not suffice")))?;
        let mut measured = Measured::with_room(&self.spec, self.episodes, self.keep_predictions);
        for index in 0..self.episodes {
            context.check()?;
            let episode = pool.episode(&self.spec, index);
            let scores = scorer.scores(known.as_ref(), &episode, device)?;
            let right = accuracy(&scores, &episode)?;
            if self.keep_predictions {
                measured.predictions(index, &episode, &scores)?;
            }
            measured.episode(episode, right);
            if index % 100 == 99 {
                context.progress(index + 1, self.episodes, "episodes", "");
            }
        }
        let outputs = Outputs::default().with("episodes", context.put(&measured.episodes_table(&self.spec)?)?);
        let outputs = match self.keep_predictions {
            true => outputs.with("predictions", context.put(&measured.predictions_table(&self.spec)?)?),
            false => outputs,
        };
        Ok(outputs.made_by(&self.runtime.provenance()?))
    }
}

/// What was measured, in the order of the episodes. Room is made at once: small pieces that stay, taken between the large
/// ones of each episode, would leave the heap in pieces, and it would grow with every episode.
struct Measured {
    support: Vec<u32>,
    query: Vec<u32>,
    accuracies: Vec<f64>,
    predicted: Vec<(i64, u32, u32, u32)>,
    scores: Vec<f32>,
}

impl Measured {
    fn with_room(spec: &EpisodeSpec, episodes: u64, keeps_predictions: bool) -> Self {
        let episodes = episodes as usize;
        let queries = episodes * spec.n_way * spec.n_query;
        let kept = if keeps_predictions { queries } else { 0 };
        Self {
            support: Vec::with_capacity(episodes * spec.n_way * spec.k_shot),
            query: Vec::with_capacity(queries),
            accuracies: Vec::with_capacity(episodes),
            predicted: Vec::with_capacity(kept),
            scores: Vec::with_capacity(kept * spec.n_way),
        }
    }

    fn episode(&mut self, episode: Episode, accuracy: f64) {
        let ids = |images: Vec<Vec<ImageId>>| images.into_iter().flatten().map(|id| id.0);
        self.support.extend(ids(episode.support));
        self.query.extend(ids(episode.query));
        self.accuracies.push(accuracy);
    }

    fn predictions(&mut self, index: u64, episode: &Episode, scores: &Tensor) -> Result<(), StageError> {
        let n_way = episode.classes.len();
        let rows = floats(scores)?;
        let truths = episode.classes.iter().zip(&episode.query).flat_map(|(c, q)| q.iter().map(move |id| (c.0, id.0)));
        for ((class, image), row) in truths.zip(rows.chunks_exact(n_way)) {
            let best = (0..n_way).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap_or(0);
            self.predicted.push((index as i64, image, class, episode.classes[best].0));
            self.scores.extend_from_slice(row);
        }
        Ok(())
    }

    fn episodes_table(&self, spec: &EpisodeSpec) -> Result<Vec<u8>, StageError> {
        let n = self.accuracies.len();
        table(vec![
            Column::I64("n_way", vec![spec.n_way as i64; n]),
            Column::I64("k_shot", vec![spec.k_shot as i64; n]),
            Column::I64("n_query", vec![spec.n_query as i64; n]),
            Column::I64("episode_seed", vec![spec.seed as i64; n]),
            Column::I64("episode", (0..n as i64).collect()),
            Column::U32Lists("support_ids", lists(&self.support, spec.n_way * spec.k_shot)),
            Column::U32Lists("query_ids", lists(&self.query, spec.n_way * spec.n_query)),
            Column::F64("accuracy", self.accuracies.iter().map(|a| Some(*a)).collect()),
        ])
    }

    fn predictions_table(&self, spec: &EpisodeSpec) -> Result<Vec<u8>, StageError> {
        let ids = |pick: fn(&(i64, u32, u32, u32)) -> u32| self.predicted.iter().map(pick).collect();
        table(vec![
            Column::I64("episode", self.predicted.iter().map(|p| p.0).collect()),
            Column::U32("image_id", ids(|p| p.1)),
            Column::U32("class_id", ids(|p| p.2)),
            Column::U32("predicted_class_id", ids(|p| p.3)),
            Column::F32Lists("scores", lists(&self.scores, spec.n_way)),
        ])
    }
}

/// Parts what lies in one row into lists of one length.
fn lists<T: Clone>(values: &[T], length: usize) -> Vec<Vec<T>> {
    values.chunks_exact(length).map(<[T]>::to_vec).collect()
}
