//! A row of many episodes: slices that are measured one by one, on whatever machine, and their join, whose tables are
//! those of a row that was measured at once, to the byte.
//!
//! A slice does not know how many episodes the row has: of a row with more, the slices that are full are there already.

use std::ops::Range;

use mlsm_engine::{Context, Outputs, Port, StageError, Task};
use mlsm_store::Field;

use super::measured::Measured;
use super::{Measuring, TABLES, VERSION, fields_of_tables, kept};
use crate::recipe::field;

/// What the tables of a slice are called: they are no tables of their own for people.
const SLICE_TABLES: &[&str; 2] = &["slice-episodes", "slice-predictions"];

/// Measures a row on some of its episodes.
pub struct EvaluateSlice {
    /// How it is measured.
    pub measuring: Measuring,
    /// The indices of the episodes.
    pub episodes: Range<u64>,
}

impl Task for EvaluateSlice {
    fn stage(&self) -> &'static str {
        "evaluate"
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn recipe(&self) -> Vec<Field> {
        let Self { measuring, episodes } = self;
        let Range { start, end } = episodes;
        measuring.fields([field("first_episode", *start as i64), field("end_episode", *end as i64)])
    }

    fn inputs(&self) -> Vec<Port> {
        self.measuring.scoring.ports()
    }

    fn outputs(&self) -> &'static [&'static str] {
        kept(SLICE_TABLES, self.measuring.keep_predictions)
    }

    fn threads(&self) -> usize {
        self.measuring.runtime.occupied()
    }

    fn wants_device(&self) -> bool {
        true
    }

    fn run(&self, context: &Context<'_>) -> Result<Outputs, StageError> {
        let measured = self.measuring.measure(context, self.episodes.clone())?;
        let outputs = self.measuring.put(context, &measured, *SLICE_TABLES)?;
        Ok(outputs.made_by(&self.measuring.runtime.provenance()?))
    }
}

/// Joins the slices of a row, which it reads in their order. Outputs: those of a row that is measured at once.
pub struct JoinSlices {
    /// How the row was measured.
    pub measuring: Measuring,
    /// How many episodes the slices have together.
    pub episodes: u64,
}

impl Task for JoinSlices {
    fn stage(&self) -> &'static str {
        "evaluate"
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn recipe(&self) -> Vec<Field> {
        let Self { measuring, episodes } = self;
        let Measuring { scoring: _, spec, keep_predictions, runtime: _ } = measuring; // the slices say what was measured
        fields_of_tables(spec, [field("episodes", *episodes as i64)], *keep_predictions)
    }

    fn inputs(&self) -> Vec<Port> {
        kept(SLICE_TABLES, self.measuring.keep_predictions).iter().map(|name| Port::many(name)).collect()
    }

    fn outputs(&self) -> &'static [&'static str] {
        kept(TABLES, self.measuring.keep_predictions)
    }

    fn run(&self, context: &Context<'_>) -> Result<Outputs, StageError> {
        let Measuring { spec, keep_predictions, .. } = &self.measuring;
        let mut joined = Measured::with_room(spec, 0, self.episodes, *keep_predictions);
        let [episodes, predictions] = *SLICE_TABLES;
        for (_, digest) in context.items(episodes) {
            context.check()?;
            joined.add_episodes(&context.open_digest(&digest)?)?;
        }
        for (_, digest) in context.items(predictions) {
            context.check()?;
            joined.add_predictions(&context.open_digest(&digest)?)?;
        }
        joined.check(spec, self.episodes)?;
        self.measuring.put(context, &joined, *TABLES)
    }
}
