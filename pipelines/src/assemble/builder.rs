//! What the parts of the assembly share: the graph so far, and which units make what.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use mlsm_data::{ClassId, EpisodeSpec, Part, Photo, Shard, TrainPart};
use mlsm_engine::{Graph, Item, NodeIndex, Task, Unit, UnitInput, UnitRef};
use mlsm_errors::{Explain, Explanation, Fix};
use mlsm_nets::Reads;

use super::plan_graph::NodeKind;
use super::{AssembleError, Execution};
use crate::config::{BackboneMode, Baseline, Config, ObjectSource, Protocol};
use crate::prepare::{Scene, Source};
use crate::runtime::Runtime;
use crate::stages::pixels::{PixelShape, Waiting};
use crate::stages::ports::{self, Side};
use crate::stages::splits::WriteSplit;

/// The unit that was added.
pub(super) type Added = Result<UnitRef, AssembleError>;

/// A graph that is being assembled. Lists of units have one for each shard.
pub(super) struct Builder<'a> {
    pub config: &'a Config,
    pub scene: &'a Scene,
    pub shards: Rc<[(Shard, Part)]>,
    pub parts: BTreeMap<ClassId, Part>,
    pub runtime: Arc<Runtime>,
    /// What units of a shard pack for each other.
    pub waiting: Waiting,
    pub graph: Graph,
    pub kinds: BTreeMap<String, NodeKind>,
    /// Packed pixels of whole photos.
    pub pixels: BTreeMap<PixelShape, Vec<UnitRef>>,
    pub sources: Vec<UnitRef>,
    pub base_nets: BTreeMap<String, UnitRef>,
    /// Packed pixels of objects by where they come from.
    pub objects: BTreeMap<(ObjectSource, PixelShape), Vec<UnitRef>>,
    /// Features by embedding and object source (none: whole photo).
    pub features: BTreeMap<(String, Option<ObjectSource>), Vec<UnitRef>>,
}

impl<'a> Builder<'a> {
    /// Begins a graph without nodes.
    pub fn new(config: &'a Config, scene: &'a Scene, parts: BTreeMap<ClassId, Part>, execution: &Execution) -> Self {
        let shards = shards_of(&scene.source, config.data.shard_photos);
        let shards = shards.into_iter().filter_map(|shard| Some((parts.get(&shard.class_id).copied()?, shard)));
        Self {
            config,
            scene,
            shards: shards.map(|(part, shard)| (shard, part)).collect(),
            parts,
            runtime: Arc::new(Runtime::new(execution.device, config.numerics.threads)),
            waiting: Waiting::default(),
            graph: Graph::new(),
            kinds: BTreeMap::new(),
            pixels: BTreeMap::new(),
            sources: Vec::new(),
            base_nets: BTreeMap::new(),
            objects: BTreeMap::new(),
            features: BTreeMap::new(),
        }
    }
}

/// Divides all photos into shards; a user's own into one each, where that is wanted.
fn shards_of(source: &Source, max_photos: usize) -> Vec<Shard> {
    let divided = source.shards(max_photos);
    let Some(own) = source.own.as_ref().filter(|own| own.is_one_a_shard()) else { return divided };
    let one = |shard: &Shard, photo: &Photo| Shard {
        id: format!("{}.{}", shard.class_id, photo.image_id),
        class_id: shard.class_id,
        photos: vec![photo.clone()],
    };
    let of_shard = |shard: Shard| match own.has(shard.class_id) {
        true => shard.photos.iter().map(|photo| one(&shard, photo)).collect(),
        false => vec![shard],
    };
    divided.into_iter().flat_map(of_shard).collect()
}

impl Builder<'_> {
    /// Refuses episodes that the classes at hand cannot fill, before anything is computed. Those of a plan's list did when it was
    /// drawn.
    pub fn check_pools(&self) -> Result<(), AssembleError> {
        if self.scene.source.pending.is_some() || self.scene.source.listed.is_some() {
            return Ok(());
        }
        let of_part = |part: Part| -> mlsm_data::Pool {
            self.scene.source.dataset.photos.iter().filter(|p| self.parts.get(&p.class_id) == Some(&part)).collect()
        };
        let named = |part: Part, what: &str, error: mlsm_data::DataError| match error.is_config() {
            true => AssembleError::Config(error.explain().within(format!("{what} does not fit"))),
            false => {
                AssembleError::Data(error.explain().within(format!("the {part} classes do not suffice for {what}")))
            }
        };
        if !self.config.train_base.is_empty() && of_part(Part::Base).classes().next().is_none() {
            let said = Explanation::new("there are no base classes")
                .because("the split leaves them empty on the classes at hand");
            return Err(AssembleError::Data(said.fix(Fix::other("splits.rule"))));
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
        let measured = if self.scene.source.own.is_some() { Vec::new() } else { self.evaluation_specs() };
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

    pub fn splits(&mut self) -> Result<(), AssembleError> {
        let name = |class| self.scene.source.dataset.class(class).map_or_else(String::new, |c| c.name.clone());
        let classes = self.parts.iter().map(|(class, part)| (*class, (name(*class), *part))).collect();
        let node = self.begin("splits".to_owned(), "splits", NodeKind::Splits)?;
        self.graph.add(node, Unit::only(Arc::new(WriteSplit { classes }), Vec::new()))?;
        Ok(())
    }

    /// Begins a node and remembers what it is to readers of tables.
    pub fn begin(&mut self, id: String, stage: &'static str, kind: NodeKind) -> Result<NodeIndex, AssembleError> {
        self.kinds.insert(id.clone(), kind);
        Ok(self.graph.begin(id, stage)?)
    }

    /// Adds a node of a single unit.
    pub fn only(&mut self, id: String, task: Arc<dyn Task>, inputs: Vec<UnitInput>, kind: NodeKind) -> Added {
        let node = self.begin(id, task.stage(), kind)?;
        Ok(self.graph.add(node, Unit::only(task, inputs))?)
    }

    /// Adds a unit for a shard to a node.
    pub fn shard(
        &mut self,
        node: NodeIndex,
        shard: &Shard,
        aspect: &str,
        task: Arc<dyn Task>,
        inputs: Vec<UnitInput>,
    ) -> Added {
        let unit = Unit { shard: shard.id.clone(), aspect: aspect.to_owned(), task, inputs };
        Ok(self.graph.add(node, unit)?)
    }

    /// Returns an output of a part's shards as inputs, for what trains or selects.
    pub fn train_inputs(&self, side: Side, part: TrainPart, units: &[UnitRef], output: &'static str) -> Vec<UnitInput> {
        self.part_inputs(side, part.into(), units, output)
    }

    /// Returns an output of the novel classes' shards, or of a user's own photos, as inputs: for `evaluate` and `predict`
    /// alone.
    pub fn novel_inputs(&self, side: Side, units: &[UnitRef], output: &'static str) -> Vec<UnitInput> {
        match &self.scene.source.own {
            None => self.part_inputs(side, Part::Novel, units, output),
            Some(own) => self.inputs(side, Part::Novel, units, output, |shard, _| own.has(shard.class_id)),
        }
    }

    fn part_inputs(&self, side: Side, part: Part, units: &[UnitRef], output: &'static str) -> Vec<UnitInput> {
        self.inputs(side, part, units, output, |_, of| of == part)
    }

    fn inputs(
        &self,
        side: Side,
        part: Part,
        units: &[UnitRef],
        output: &'static str,
        is_read: impl Fn(&Shard, Part) -> bool,
    ) -> Vec<UnitInput> {
        let read = self.shards.iter().zip(units).filter(|((shard, part), _)| is_read(shard, *part));
        let input = |((shard, _), unit): (&(Shard, Part), &UnitRef)| {
            let item = Item { id: shard.id.clone(), key: shard.class_id.0 };
            UnitInput::item(ports::rows(side, part), item, unit.output(output))
        };
        read.map(input).collect()
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
        uses.retain(|(_, object, _)| *object != ObjectSource::WholeTwice); // its pixels are those of the whole photo
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
