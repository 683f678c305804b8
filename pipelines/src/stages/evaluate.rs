//! `evaluate`: measures one row on episodes of novel classes, from what is stored.
//!
//! Every row of one setting is measured on the same episodes, a function of the seed and the index alone, so that rows can be
//! compared pair by pair, and a row of many episodes is measured in slices that know nothing of each other. This is the
//! only stage that reads novel labels, and only to count what was right.

mod measured;
mod slices;

use std::ops::Range;
use std::sync::Arc;

use mlsm_data::EpisodeSpec;
use mlsm_engine::{Context, Outputs, Port, StageError, Task};
use mlsm_errors::Explain;
use mlsm_store::Field;

use self::measured::Measured;
pub use self::slices::{EvaluateSlice, JoinSlices};
use crate::model::accuracy;
use crate::recipe::field;
use crate::runtime::Runtime;
use crate::scoring::{Scorer, Scoring};

/// The version of all tasks of the stage.
const VERSION: u32 = 6;

/// How a row is measured, on whichever episodes.
#[derive(Clone)]
pub struct Measuring {
    /// How queries are scored.
    pub scoring: Scoring,
    /// Episodes: way, shot, queries, seed.
    pub spec: EpisodeSpec,
    /// Whether predictions are kept.
    pub keep_predictions: bool,
    /// Where to compute.
    pub runtime: Arc<Runtime>,
}

impl Measuring {
    /// Returns what identifies it in a recipe. `episodes`: which ones.
    fn fields<const N: usize>(&self, episodes: [Field; N]) -> Vec<Field> {
        let Self { scoring, spec, keep_predictions, runtime: _ } = self;
        scoring.fields().into_iter().chain(fields_of_tables(spec, episodes, *keep_predictions)).collect()
    }

    /// Measures the row on the episodes of these indices.
    fn measure(&self, context: &Context<'_>, episodes: Range<u64>) -> Result<Measured, StageError> {
        let device = self.runtime.device()?;
        let scorer = Scorer::open(&self.scoring, context, device)?;
        let known = scorer.known(&self.scoring, device)?;
        let pool = scorer.photos().pool();
        pool.check(&self.spec)
            .map_err(|e| StageError::BadData(e.explain().within("the novel classes do not suffice")))?;
        let (first, count) = (episodes.start, episodes.end - episodes.start);
        let mut measured = Measured::with_room(&self.spec, first, count, self.keep_predictions);
        for index in episodes {
            context.check()?;
            let episode = pool.episode(&self.spec, index);
            let scores = scorer.scores(known.as_ref(), &episode, device)?;
            let right = accuracy(&scores, &episode)?;
            if self.keep_predictions {
                measured.predictions(index, &episode, &scores)?;
            }
            measured.episode(episode, right);
            let done = index + 1 - first;
            if done.is_multiple_of(100) {
                context.progress(done, count, "episodes", "");
            }
        }
        Ok(measured)
    }

    /// Stores what was measured under the names of two outputs.
    fn put(
        &self,
        context: &Context<'_>,
        measured: &Measured,
        [episodes, predictions]: [&str; 2],
    ) -> Result<Outputs, StageError> {
        let outputs = Outputs::default().with(episodes, context.put(&measured.episodes_table(&self.spec)?)?);
        Ok(match self.keep_predictions {
            true => outputs.with(predictions, context.put(&measured.predictions_table(&self.spec)?)?),
            false => outputs,
        })
    }
}

/// Returns what identifies the tables of a row, whatever is measured.
fn fields_of_tables<const N: usize>(spec: &EpisodeSpec, episodes: [Field; N], keep_predictions: bool) -> Vec<Field> {
    let EpisodeSpec { n_way, k_shot, n_query, seed } = spec;
    let mut fields =
        vec![field("n_way", *n_way as i64), field("k_shot", *k_shot as i64), field("n_query", *n_query as i64)];
    fields.extend(episodes);
    fields.extend([field("seed", *seed as i64), field("keep_predictions", keep_predictions)]);
    fields
}

/// What the tables of a row are called.
const TABLES: &[&str; 2] = &["episodes", "predictions"];

/// Returns the names of the tables that are kept.
fn kept(tables: &'static [&'static str; 2], keep_predictions: bool) -> &'static [&'static str] {
    if keep_predictions { tables } else { &tables[..1] }
}

/// Measures a row. Outputs: `episodes`, and `predictions` where they are kept. What the row is called is no part of it:
/// that is joined when tables are published.
pub struct Evaluate {
    /// How it is measured.
    pub measuring: Measuring,
    /// How many episodes.
    pub episodes: u64,
}

impl Task for Evaluate {
    fn stage(&self) -> &'static str {
        "evaluate"
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn recipe(&self) -> Vec<Field> {
        let Self { measuring, episodes } = self;
        measuring.fields([field("episodes", *episodes as i64)])
    }

    fn inputs(&self) -> Vec<Port> {
        self.measuring.scoring.ports()
    }

    fn outputs(&self) -> &'static [&'static str] {
        kept(TABLES, self.measuring.keep_predictions)
    }

    fn threads(&self) -> usize {
        self.measuring.runtime.occupied()
    }

    fn wants_device(&self) -> bool {
        true
    }

    fn run(&self, context: &Context<'_>) -> Result<Outputs, StageError> {
        let measured = self.measuring.measure(context, 0..self.episodes)?;
        let outputs = self.measuring.put(context, &measured, *TABLES)?;
        Ok(outputs.made_by(&self.measuring.runtime.provenance()?))
    }
}
