//! The graph as a whole: data, base CNNs, crops, features, learning, in the order of the dataflow.

use std::collections::BTreeMap;

use mlsm_data::splits::{Assigned, assign};
use mlsm_data::{Class, ClassId, Part, SplitRule};
use mlsm_engine::Graph;
use mlsm_errors::{Explanation, Fix};

use super::builder::Builder;
use super::{AssembleError, Execution, learning, photos};
use crate::config::Config;
use crate::prepare::Scene;
use crate::results::RowSpec;

/// A graph, and what people should know about it.
pub struct Assembly {
    /// The nodes.
    pub graph: Graph,
    /// What people should read.
    pub warnings: Vec<String>,
    pub(crate) kinds: BTreeMap<String, NodeKind>,
    pub(crate) shards: Vec<ShardInfo>,
}

/// What a node is to people who read its tables.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NodeKind {
    Splits,
    Ingest,
    Training,
    Crop,
    Extract { width: i64 },
    Evaluate { row: Box<RowSpec> },
    Predict,
}

/// A shard as tables name it.
#[derive(Clone, Debug)]
pub(crate) struct ShardInfo {
    pub id: String,
    pub class_id: ClassId,
    pub part: Part,
}

/// Assembles the graph of a configuration over a prepared scene: a function of these alone. Beside a user's own photos
/// there is one node `predict:ROW` for each row, and what the configuration trains is trained on its own photos; where it
/// names none, the labelled ones take the place of base classes.
///
/// # Errors
/// [`AssembleError`]: a configuration that the scene does not fit.
pub fn assemble(config: &Config, scene: &Scene, execution: &Execution) -> Result<Assembly, AssembleError> {
    let Assigned { parts, warnings } = parts(config, scene)?;
    let mut builder = Builder::new(config, scene, parts, execution);
    builder.check_pools()?;
    builder.splits()?;
    photos::ingest(&mut builder)?;
    learning::train_base(&mut builder)?;
    photos::crop(&mut builder)?;
    learning::extract(&mut builder)?;
    learning::meta_train_and_evaluate(&mut builder)?;
    Ok(Assembly {
        graph: builder.graph,
        warnings: scene.source.warnings.iter().cloned().chain(warnings).collect(),
        kinds: builder.kinds,
        shards: builder
            .shards
            .iter()
            .map(|(s, part)| ShardInfo { id: s.id.clone(), class_id: s.class_id, part: *part })
            .collect(),
    })
}

/// Says what each class is for. Beside a user's own photos, novel classes of the configuration play no part, unless a photo is
/// compared with all of them.
fn parts(config: &Config, scene: &Scene) -> Result<Assigned, AssembleError> {
    let source = &scene.source;
    if let Some(parts) = &source.parts {
        return Ok(Assigned { parts: parts.clone(), warnings: Vec::new() });
    }
    let is_own = |class: &Class| source.own.as_ref().is_some_and(|own| own.has(class.class_id));
    let (own, listed): (Vec<Class>, Vec<Class>) = source.dataset.classes.iter().cloned().partition(is_own);
    let mut assigned = match source.own.is_some() && listed.is_empty() {
        true => Assigned::default(),
        false => assign(&split_rule(config, scene)?, &listed)?,
    };
    let Some(photos) = &source.own else { return Ok(assigned) };
    let parts = &mut assigned.parts;
    if !photos.is_one_a_shard() {
        parts.retain(|_, part| *part != Part::Novel);
    }
    let takes_place = parts.is_empty();
    let part = |class: ClassId| if takes_place && class != photos.query_class() { Part::Base } else { Part::Novel };
    parts.extend(own.iter().map(|class| (class.class_id, part(class.class_id))));
    Ok(assigned)
}

pub(super) fn split_name(config: &Config) -> String {
    match config.splits.rule.as_str() {
        "random" => format!("random-{}", config.splits.seed.unwrap_or(config.seed)),
        other => other.to_owned(),
    }
}

fn split_rule(config: &Config, scene: &Scene) -> Result<SplitRule, AssembleError> {
    let splits = &config.splits;
    match splits.rule.as_str() {
        "random" => Ok(SplitRule::Random { seed: splits.seed.unwrap_or(config.seed), ratios: splits.ratios }),
        "file" => {
            let text = scene.split.clone().ok_or_else(|| {
                let said = Explanation::new("splits.rule = \"file\" needs splits.file").because("no file is named");
                AssembleError::Config(said.fix(Fix::set("splits.file", "FILE")))
            })?;
            Ok(SplitRule::File(text))
        }
        name => Ok(SplitRule::from_name(name)?),
    }
}
