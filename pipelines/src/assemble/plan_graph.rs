//! The graph as a whole: data, base CNNs, crops, features, learning, in the order of the dataflow.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use mlsm_data::splits::{Assigned, assign};
use mlsm_data::{Class, ClassId, EpisodeSpec, OwnPhotos, Part, Shard, ShardOptions, SplitRule, TrainPart, shards};
use mlsm_engine::{Graph, Node, NodeIndex, Subscriber, Unit, UnitInput, UnitRef};
use mlsm_nets::Reads;
use mlsm_store::Store;

use super::dataset::{self, Source};
use super::{AssembleError, Execution, Purpose, learning, photos};
use crate::config::{BackboneMode, Baseline, Config, ObjectSource, Protocol};
use crate::results::RowSpec;
use crate::runtime::Runtime;
use crate::stages::ingest::PixelShape;
use crate::stages::splits::WriteSplit;

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
    pub part: Part,
}

/// What all parts of the builder share.
pub(super) struct Builder<'a> {
    pub config: &'a Config,
    pub purpose: Purpose,
    pub source: Source,
    pub shards: Vec<(Shard, Part)>,
    pub parts: BTreeMap<ClassId, Part>,
    pub runtime: Arc<Runtime>,
    pub graph: Graph,
    pub kinds: BTreeMap<String, NodeKind>,
    /// Packed pixels of whole photos, one unit per shard.
    pub pixels: BTreeMap<PixelShape, Vec<UnitRef>>,
    pub sources: Vec<UnitRef>,
    pub base_nets: BTreeMap<String, UnitRef>,
    /// Packed pixels of objects by where they come from.
    pub objects: BTreeMap<(ObjectSource, PixelShape), Vec<UnitRef>>,
    /// Features by embedding and object source (none: whole photo).
    pub features: BTreeMap<(String, Option<ObjectSource>), Vec<UnitRef>>,
}

/// Builds the graph of a configuration over a store.
///
/// # Errors
/// [`AssembleError`]: a configuration or data set that does not fit, or a store that cannot be used.
pub fn assemble(
    config: &Config,
    store: &Store,
    execution: &Execution,
    purpose: Purpose,
    subscriber: &dyn Subscriber,
) -> Result<Assembly, AssembleError> {
    let source = dataset::open(config, store, purpose, subscriber)?;
    lay_out(config, store, execution, purpose, source)
}

/// Builds the graph that predicts the classes of photos of one's own, one node `predict:ROW` for each row. What the
/// configuration trains is trained on its own photos; where it names none, the labelled ones stand in for base classes.
///
/// # Errors
/// As [`assemble`].
pub fn assemble_prediction(
    config: &Config,
    store: &Store,
    execution: &Execution,
    own: OwnPhotos,
    subscriber: &dyn Subscriber,
) -> Result<Assembly, AssembleError> {
    let source = dataset::open_beside(own, config, store, subscriber)?;
    lay_out(config, store, execution, Purpose::Run, source)
}

fn lay_out(
    config: &Config,
    store: &Store,
    execution: &Execution,
    purpose: Purpose,
    mut source: Source,
) -> Result<Assembly, AssembleError> {
    let parts = parts(config, &mut source)?;
    let shards = shards(&source.dataset, &ShardOptions { max_photos: config.data.shard_photos });
    let shards = shards.into_iter().filter_map(|s| Some((parts.get(&s.class_id).copied()?, s)));
    let mut builder = Builder {
        config,
        purpose,
        shards: shards.map(|(part, shard)| (shard, part)).collect(),
        source,
        parts,
        runtime: Arc::new(Runtime::new(execution.device, config.numerics.threads)),
        graph: Graph::new(),
        kinds: BTreeMap::new(),
        pixels: BTreeMap::new(),
        sources: Vec::new(),
        base_nets: BTreeMap::new(),
        objects: BTreeMap::new(),
        features: BTreeMap::new(),
    };
    builder.check_pools()?;
    builder.splits();
    photos::ingest(&mut builder);
    learning::train_base(&mut builder, store)?;
    photos::crop(&mut builder);
    learning::extract(&mut builder);
    learning::meta_train_and_evaluate(&mut builder);
    let warnings = builder.source.warnings.clone();
    Ok(Assembly {
        graph: builder.graph,
        warnings,
        kinds: builder.kinds,
        shards: builder.shards.iter().map(|(s, part)| ShardInfo { id: s.id.clone(), part: *part }).collect(),
    })
}

/// Says what each class is for. Beside photos of one's own, novel classes of the configuration play no part.
fn parts(config: &Config, source: &mut Source) -> Result<BTreeMap<ClassId, Part>, AssembleError> {
    let is_own = |class: &Class| source.own.as_ref().is_some_and(|own| own.has(class.class_id));
    let (own, listed): (Vec<Class>, Vec<Class>) = source.dataset.classes.iter().cloned().partition(is_own);
    let assigned = match source.own.is_some() && listed.is_empty() {
        true => Assigned::default(),
        false => assign(&split_rule(config)?, &listed)?,
    };
    source.warnings.extend(assigned.warnings);
    let mut parts = assigned.parts;
    let Some(photos) = &source.own else { return Ok(parts) };
    parts.retain(|_, part| *part != Part::Novel);
    let stands_in = parts.is_empty();
    let part = |class: ClassId| if stands_in && class != photos.query_class() { Part::Base } else { Part::Novel };
    parts.extend(own.iter().map(|class| (class.class_id, part(class.class_id))));
    Ok(parts)
}

fn split_name(config: &Config) -> String {
    match config.splits.rule.as_str() {
        "random" => format!("random-{}", config.splits.seed.unwrap_or(config.seed)),
        other => other.to_owned(),
    }
}

fn split_rule(config: &Config) -> Result<SplitRule, AssembleError> {
    let splits = &config.splits;
    match splits.rule.as_str() {
        "random" => Ok(SplitRule::Random { seed: splits.seed.unwrap_or(config.seed), ratios: splits.ratios }),
        "file" => {
            let file = splits.file.as_deref().ok_or_else(|| {
                AssembleError::Config(
                    "splits.rule = \"file\" needs splits.file\n  why: no file is named\n  fix: --set \
                     splits.file=FILE"
                        .to_owned(),
                )
            })?;
            Ok(SplitRule::File(read_split(file)?))
        }
        name => Ok(SplitRule::from_name(name)?),
    }
}

fn read_split(file: &Path) -> Result<String, AssembleError> {
    std::fs::read_to_string(file).map_err(|e| {
        AssembleError::Config(format!("cannot read the split {}\n  why: {e}\n  fix: name another file", file.display()))
    })
}

impl Builder<'_> {
    /// Refuses episodes that the classes at hand cannot fill, before anything is computed.
    fn check_pools(&self) -> Result<(), AssembleError> {
        if self.source.pending.is_some() {
            return Ok(());
        }
        let of_part = |part: Part| -> mlsm_data::Pool {
            self.source.dataset.photos.iter().filter(|p| self.parts.get(&p.class_id) == Some(&part)).collect()
        };
        let named = |part: Part, what: &str, error: mlsm_data::DataError| match error.is_config() {
            true => AssembleError::Config(format!("{what} does not fit: {error}")),
            false => AssembleError::Data(format!("the {part} classes do not suffice for {what}: {error}")),
        };
        if !self.config.train_base.is_empty() && of_part(Part::Base).classes().next().is_none() {
            return Err(AssembleError::Data(
                "there are no base classes\n  why: the split leaves them empty on the classes at hand\n  fix: choose \
                 another splits.rule"
                    .to_owned(),
            ));
        }
        for (name, section) in &self.config.meta_train {
            for k_shot in section.train_shot.to_vec() {
                let asked = |part| match part {
                    Part::Val => (section.val_way(), section.val_query()),
                    _ => (section.n_way, section.train_query),
                };
                for part in [Part::Base, Part::Val] {
                    let (n_way, n_query) = asked(part);
                    let spec = EpisodeSpec { n_way, k_shot, n_query, seed: 0 };
                    let what = format!("meta-train.{name}");
                    of_part(part).check(&spec).map_err(|e| named(part, &what, e))?;
                }
            }
        }
        let measured = if self.source.own.is_some() { Vec::new() } else { self.evaluation_specs() };
        for (_, spec) in measured {
            of_part(Part::Novel).check(&spec).map_err(|e| named(Part::Novel, "evaluate", e))?;
        }
        Ok(())
    }

    /// Returns the episodes of every protocol and number of shots.
    pub fn evaluation_specs(&self) -> Vec<(Protocol, EpisodeSpec)> {
        let evaluate = &self.config.evaluate;
        let seed = evaluate.seed.unwrap_or(self.config.seed);
        let mut specs = Vec::new();
        for protocol in evaluate.protocol.to_vec() {
            let (n_way, n_query) = (evaluate.n_way, evaluate.query_count(protocol));
            let shots = evaluate.k_shot.to_vec().into_iter();
            specs.extend(shots.map(|k_shot| (protocol, EpisodeSpec { n_way, k_shot, n_query, seed })));
        }
        specs
    }

    fn splits(&mut self) {
        let name = |class: ClassId| self.source.dataset.class(class).map_or_else(String::new, |c| c.name.clone());
        let classes = self.parts.iter().map(|(class, part)| (*class, (name(*class), *part))).collect();
        let stage = Arc::new(WriteSplit { classes });
        let unit = Unit { shard: String::new(), aspect: String::new(), stage, inputs: Vec::new() };
        self.add("splits".to_owned(), "splits", vec![unit], NodeKind::Splits);
    }

    /// Returns the name of the rule that assigned classes to parts.
    pub fn split_name(&self) -> String {
        split_name(self.config)
    }

    /// Adds a node and remembers what it is to readers of tables.
    pub fn add(&mut self, id: String, stage: &'static str, units: Vec<Unit>, kind: NodeKind) -> NodeIndex {
        self.kinds.insert(id.clone(), kind);
        self.graph.add(Node { id, stage, units })
    }

    /// Names the outputs of a part's shards as inputs, for what trains or selects.
    pub fn train_inputs(&self, prefix: &str, part: TrainPart, units: &[UnitRef], output: &str) -> Vec<UnitInput> {
        self.part_inputs(prefix, part.into(), units, output)
    }

    /// Names the outputs of the novel classes' shards, or of photos of one's own, as inputs: for `evaluate` and `predict`
    /// alone.
    pub fn novel_inputs(&self, prefix: &str, units: &[UnitRef], output: &str) -> Vec<UnitInput> {
        match &self.source.own {
            None => self.part_inputs(prefix, Part::Novel, units, output),
            Some(own) => self.inputs(prefix, Part::Novel, units, output, |shard, _| own.has(shard.class_id)),
        }
    }

    fn part_inputs(&self, prefix: &str, part: Part, units: &[UnitRef], output: &str) -> Vec<UnitInput> {
        self.inputs(prefix, part, units, output, |_, of| of == part)
    }

    fn inputs(
        &self,
        prefix: &str,
        part: Part,
        units: &[UnitRef],
        output: &str,
        is_read: impl Fn(&Shard, Part) -> bool,
    ) -> Vec<UnitInput> {
        let read = self.shards.iter().zip(units).filter(|((shard, part), _)| is_read(shard, *part));
        read.map(|((shard, _), unit)| UnitInput::output(format!("{prefix}/{part}/{}", shard.id), *unit, output))
            .collect()
    }

    /// Returns the base CNNs whose stored features some row reads, with whether their feature maps are read.
    pub fn embeddings(&self) -> BTreeMap<String, bool> {
        let mut found = BTreeMap::new();
        for baseline in &self.config.evaluate.baselines {
            if let Baseline::Cl2n { embedding, .. } = baseline {
                found.entry(embedding.clone()).or_insert(false);
            }
        }
        for section in self.config.meta_train.values().filter(|s| s.mode() == BackboneMode::Frozen) {
            *found.entry(section.embedding.clone()).or_insert(false) |= section.kind().reads == Reads::Maps;
        }
        found
    }

    /// Returns which object sources each base CNN looks at, and whether features of them are stored.
    pub fn object_uses(&self) -> Vec<(&str, ObjectSource, bool)> {
        let mut uses = Vec::new();
        for baseline in &self.config.evaluate.baselines {
            if let Baseline::Cl2n { embedding, object: Some(object) } = baseline {
                uses.push((embedding.as_str(), *object, true));
            }
        }
        for section in self.config.meta_train.values() {
            let is_stored = section.mode() == BackboneMode::Frozen;
            uses.extend(section.used_objects().into_iter().map(|o| (section.embedding.as_str(), o, is_stored)));
        }
        uses.retain(|(_, object, _)| *object != ObjectSource::WholeTwice); // the photo's own pixels serve twice
        uses
    }

    /// Returns the object sources of which an embedding's features are stored.
    pub fn stored_objects_of(&self, embedding: &str) -> BTreeSet<ObjectSource> {
        let uses = self.object_uses().into_iter();
        uses.filter(|(of, _, is_stored)| *of == embedding && *is_stored).map(|(_, object, _)| object).collect()
    }

    /// Returns the pixels that a base CNN reads.
    pub fn pixel_shape(&self, base_net: &str) -> PixelShape {
        self.config.train_base[base_net].pixel_shape()
    }
}
