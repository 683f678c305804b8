//! A plan of work for many machines: the units that a run would compute, in levels that wait for each other, grouped into
//! tasks that are worth a machine's attention. One file, which `mlsm plan --out` writes and `mlsm work` reads.

mod draw;

use std::path::Path;

use mlsm_errors::{Explanation, Fix};
use mlsm_pipelines::{Config, PhotoList};
use serde::{Deserialize, Serialize};

use crate::error::CliError;
use crate::settings::NamedConfig;

pub use draw::draw;

/// The version of the file's format.
const FORMAT: u32 = 2;

/// A plan of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkPlan {
    /// The version of the format.
    pub format: u32,
    /// The version of the program that drew it.
    pub version: String,
    /// When it was drawn, RFC 3339.
    pub drawn: String,
    /// The name of the configuration.
    pub config_name: String,
    /// The configuration with every default, as TOML.
    pub config: String,
    /// The list of the photos, which the store keeps; none where nothing is left to compute.
    pub photos: Option<PhotoList>,
    /// The units, by level.
    pub units: Vec<PlannedUnit>,
    /// The tasks, by level: a machine does one after another.
    pub tasks: Vec<PlannedTask>,
}

/// What a plan of any version says.
#[derive(Deserialize)]
struct Versioned {
    format: u32,
}

/// A unit that a run would compute, or may have to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedUnit {
    /// Its node.
    pub node: String,
    /// Its key in the node; empty for the only one.
    pub unit: String,
    /// How many units must be computed before it, one after another.
    pub level: usize,
    /// The units of this plan whose artifacts it reads, by position.
    pub reads: Vec<usize>,
    /// How many threads it keeps busy.
    pub threads: usize,
    /// Whether a GPU speeds it up.
    pub wants_gpu: bool,
    /// How long it takes, where an earlier run says.
    pub seconds: Option<f64>,
}

/// Units of one level that a machine computes together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedTask {
    /// The level of its units.
    pub level: usize,
    /// The position of its first unit.
    pub first: usize,
    /// How many units it has.
    pub units: usize,
    /// How many threads its units can use.
    pub threads: usize,
    /// Whether a GPU speeds it up.
    pub wants_gpu: bool,
    /// How long it takes, as far as earlier runs say.
    pub seconds: f64,
}

impl PlannedTask {
    /// Returns the positions of its units.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.first..self.first + self.units
    }
}

impl WorkPlan {
    /// Reads a plan.
    ///
    /// # Errors
    /// [`CliError::Usage`] for a file that cannot be read, is no plan, or one of another version.
    pub fn read(path: &Path) -> Result<Self, CliError> {
        let what = || format!("cannot use the plan {}", path.display());
        let refused = |why: String| CliError::Usage(Explanation::new(what()).because(why).fix(Fix::NewPlan));
        let foreign = |e: serde_json::Error| refused(format!("it is no plan of work: {e}"));
        let bytes =
            std::fs::read(path).map_err(|e| CliError::usage(what(), e.to_string(), "name a file that exists"))?;
        let Versioned { format } = serde_json::from_slice(&bytes).map_err(foreign)?;
        if format != FORMAT {
            return Err(refused(format!("its format has version {format}, and this program reads version {FORMAT}")));
        }
        let plan: Self = serde_json::from_slice(&bytes).map_err(foreign)?;
        if plan.tasks.iter().any(|task| task.range().end > plan.units.len()) {
            return Err(refused("a task names units that it does not have".to_owned()));
        }
        Ok(plan)
    }

    /// Writes a plan as a line of JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(self).expect("numbers and text are written");
        text.push(b'\n');
        text
    }

    /// Returns the configuration that it was drawn for.
    ///
    /// # Errors
    /// [`CliError::Config`] when this program refuses it.
    pub fn configuration(&self) -> Result<NamedConfig, CliError> {
        let refused = |e: toml::de::Error| Explanation::new("cannot use the plan").because(e.message().to_owned());
        let table = toml::from_str(&self.config).map_err(|e| CliError::Usage(refused(e).fix(Fix::NewPlan)))?;
        let config = Config::from_table(table)?;
        Ok(NamedConfig { name: self.config_name.clone(), config, origins: Default::default() })
    }

    /// Returns the positions of the tasks of each level.
    pub fn levels(&self) -> Vec<std::ops::Range<usize>> {
        let mut levels: Vec<std::ops::Range<usize>> = Vec::new();
        for (at, task) in self.tasks.iter().enumerate() {
            match levels.last_mut() {
                Some(level) if self.tasks[level.start].level == task.level => level.end = at + 1,
                _ => levels.push(at..at + 1),
            }
        }
        levels
    }

    /// Says how much it is, in a line.
    pub fn summary(&self) -> String {
        let (units, tasks, levels) = (self.units.len(), self.tasks.len(), self.levels().len());
        if units == 0 {
            return "nothing to compute".to_owned();
        }
        let known: f64 = self.units.iter().filter_map(|unit| unit.seconds).sum();
        let unknown = self.units.iter().filter(|unit| unit.seconds.is_none()).count();
        let time = match unknown {
            0 => format!("; {known:.0} s of computing by earlier runs"),
            n if n == units => "; no earlier run says how long they take".to_owned(),
            n => format!("; {known:.0} s of computing by earlier runs, and {n} units of which none says"),
        };
        format!("{units} units in {tasks} tasks, on {levels} levels{time}")
    }
}

#[cfg(test)]
mod tests;
