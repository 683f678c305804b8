//! `splits`: which class is base, val or novel, as an artifact of its own, so that a new split decodes nothing again.

use std::collections::BTreeMap;

use mlsm_data::{ClassId, Part};
use mlsm_engine::{Context, Outputs, Port, StageError, Task};
use mlsm_store::Field;

use crate::artifact::{Column, table};
use crate::recipe::field;

/// Writes the assignment down.
pub struct WriteSplit {
    /// The classes with their names and parts.
    pub classes: BTreeMap<ClassId, (String, Part)>,
}

impl Task for WriteSplit {
    fn stage(&self) -> &'static str {
        "splits"
    }

    fn version(&self) -> u32 {
        2
    }

    fn recipe(&self) -> Vec<Field> {
        let Self { classes } = self;
        let rows = classes.iter().map(|(id, (name, part))| field(&format!("class {id} {name}"), part.to_string()));
        rows.collect()
    }

    fn inputs(&self) -> Vec<Port> {
        Vec::new()
    }

    fn outputs(&self) -> &'static [&'static str] {
        &["splits"]
    }

    fn run(&self, context: &Context<'_>) -> Result<Outputs, StageError> {
        let bytes = table(vec![
            Column::U32("class_id", self.classes.keys().map(|c| c.0).collect()),
            Column::Text("class_name", self.classes.values().map(|(name, _)| name.clone()).collect()),
            Column::Text("part", self.classes.values().map(|(_, part)| part.to_string()).collect()),
        ])?;
        Ok(Outputs::default().with("splits", context.put(&bytes)?))
    }
}
