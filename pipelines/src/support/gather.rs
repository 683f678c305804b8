//! What a support file takes out of a run: the features that the row reads, and the networks that new photos go through.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mlsm_data::{ClassId, ImageId, OwnPhotos, Part};
use mlsm_engine::{Graph, InputSource, NodeIndex, RunReport, StageError, Unit, UnitRef};
use mlsm_store::{Blob, Digest, Store, publish_file};

use super::recipes;
use super::rows::Rows;
use super::{About, FORMAT, PhotoLine, Support, SupportError, Whole};
use crate::AssembleError;
use crate::assemble::Assembly;
use crate::config::Config;
use crate::kept_file::text_of;
use crate::prepare::Scene;
use crate::stages::ingest::PHOTO;
use crate::weights;

/// A run that predicted nothing yet: what a support file is made from.
pub struct Made<'a> {
    /// What was run.
    pub assembly: &'a Assembly,
    /// The photos.
    pub scene: &'a Scene,
    /// The node of the row.
    pub node: &'a str,
    /// How the run went.
    pub report: &'a RunReport,
    /// Where its artifacts are.
    pub store: &'a Store,
}

/// Refuses a row that reads the pixels of labelled photos.
///
/// # Errors
/// [`SupportError::ReadsPixels`].
pub fn refuse_pixels(graph: &Graph, node: &str) -> Result<(), SupportError> {
    let of_row = graph.nodes().iter().filter(|known| known.id == node).flat_map(|node| &node.units);
    let mut read = of_row.flat_map(|unit| &unit.inputs);
    match read.any(|input| matches!(input.source, InputSource::Output(_, "pixels"))) {
        true => Err(SupportError::ReadsPixels { row: node.split_once(':').map_or(node, |(_, row)| row).to_owned() }),
        false => Ok(()),
    }
}

/// What is read of units that do not work on the photos asked for.
#[derive(Default)]
struct Frontier {
    /// Outputs of units of shards that the row itself reads.
    rows: BTreeSet<(NodeIndex, usize, &'static str)>,
    /// Outputs of units without a shard, which the row reads, or units of a shard do.
    wholes: BTreeSet<(NodeIndex, usize, &'static str)>,
}

impl Frontier {
    fn of(graph: &Graph, node: &str) -> Self {
        let mut found = Self::default();
        for (index, place) in graph.units_below(node) {
            let unit = graph.unit(UnitRef { node: index, unit: place });
            let is_row = graph.node(index).id == node;
            for input in &unit.inputs {
                let InputSource::Output(from, output) = input.source else { continue };
                let read = (from.node, from.unit, output);
                match graph.unit(from).shard.is_empty() {
                    true if is_row || !unit.shard.is_empty() => drop(found.wholes.insert(read)),
                    false if is_row => drop(found.rows.insert(read)),
                    _ => {}
                }
            }
        }
        found
    }
}

impl Support {
    /// Takes out of a run what its row has read.
    ///
    /// # Errors
    /// [`AssembleError::Config`] when the row reads pixels; [`AssembleError`] when an artifact is damaged.
    pub fn gather(made: &Made<'_>, (preset, config): (&str, &Config), path: &Path) -> Result<Self, AssembleError> {
        let (graph, own) = (&made.assembly.graph, made.own());
        refuse_pixels(graph, made.node)?;
        let frontier = Frontier::of(graph, made.node);
        let mut rows = BTreeMap::<[String; 3], Rows>::new();
        for (node, unit, output) in frontier.rows {
            let at = UnitRef { node, unit };
            let key = [graph.node(node).id.clone(), graph.unit(at).aspect.clone(), output.to_owned()];
            made.add_rows(rows.entry(key).or_default(), at, output)?;
        }
        let learnt = made.labelled_units();
        let mut wholes: Vec<(Whole, Option<Vec<u8>>)> = Vec::new();
        for (node, unit, output) in frontier.wholes {
            let is_learnt = learnt.contains(&(node, unit));
            wholes.push(made.whole(UnitRef { node, unit }, output, config, is_learnt)?);
        }
        let (lines, wholes) = wholes.into_iter().unzip();
        let labelled = own.classes().iter().filter(|class| class.class_id != own.query_class());
        let classes: Vec<_> = labelled.cloned().collect();
        let every: BTreeSet<i64> = rows.values().flat_map(Rows::photos).collect();
        let dataset = &made.scene.source.dataset;
        let others = dataset.photos.iter().filter(|photo| !own.has(photo.class_id));
        let base = others.filter(|photo| every.contains(&i64::from(photo.image_id.0)));
        let base: BTreeMap<ImageId, ClassId> = base.map(|photo| (photo.image_id, photo.class_id)).collect();
        let is_base = |class: ClassId| made.assembly.shards.iter().any(|s| s.class_id == class && s.part == Part::Base);
        let about = About {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            preset: preset.to_owned(),
            row: made.node.split_once(':').map_or(made.node, |(_, row)| row).to_owned(),
            config: toml::to_string(&config.without_paths()).unwrap_or_default(),
            weights: made.weights(),
            recipes: made.recipes(),
            labelled_are_base: classes.iter().any(|class| is_base(class.class_id)),
            photos: made.photos(&every),
            classes,
            wholes: lines,
        };
        Ok(Self { path: path.to_owned(), about, rows, wholes, base })
    }

    /// Adds the photos of a run over them alone.
    ///
    /// # Errors
    /// [`AssembleError`] when an artifact is damaged, or no photo could be read.
    pub fn add(&mut self, made: &Made<'_>) -> Result<(), AssembleError> {
        let mut every = BTreeSet::new();
        for ([node, aspect, output], rows) in &mut self.rows {
            let new = made.rows([node, aspect, output])?;
            every.extend(new.photos());
            let arrays = new.arrays(&new.photos());
            rows.add_arrays(arrays).ok_or_else(|| misfit(node))?;
        }
        let photos = made.photos(&every);
        let is_used = |id: ClassId| photos.iter().any(|photo| photo.class_id == id);
        let known: BTreeSet<ClassId> = self.about.classes.iter().map(|class| class.class_id).collect();
        let new =
            made.own().classes().iter().filter(|class| is_used(class.class_id) && !known.contains(&class.class_id));
        self.about.classes.extend(new.cloned());
        self.about.photos.extend(photos);
        Ok(())
    }

    /// Writes the file, whole or not at all, once it is read as what it is.
    ///
    /// # Errors
    /// [`AssembleError::Store`] when the folder cannot be written.
    pub fn write(&self) -> Result<(), AssembleError> {
        let bytes = self.to_bytes();
        if Self::of_bytes(self.path.clone(), &bytes)? != *self {
            return Err(StageError::defect("a support file would be read as another one").into());
        }
        Ok(publish_file(&self.path, &bytes)?)
    }
}

impl Made<'_> {
    fn own(&self) -> &OwnPhotos {
        self.scene.source.own.as_ref().expect("the scene was prepared beside the own photos")
    }

    fn digest(&self, at: UnitRef, output: &str) -> Result<Digest, AssembleError> {
        let graph = &self.assembly.graph;
        let (node, unit) = (&graph.node(at.node).id, graph.unit(at).key());
        let answer = self.report.answers.get(node).and_then(|units| units.get(&unit));
        let found = answer.and_then(|answer| answer.outputs.get(output)).map(|output| output.digest);
        found.ok_or_else(|| StageError::defect(format!("{node} {unit} has not made {output}")).into())
    }

    fn open(&self, at: UnitRef, output: &str) -> Result<Blob, AssembleError> {
        Ok(self.store.open_blob(&self.digest(at, output)?)?)
    }

    /// Reads an output of all shards that a node has of an aspect.
    pub(crate) fn rows(&self, [node, aspect, output]: [&str; 3]) -> Result<Rows, AssembleError> {
        let mut rows = Rows::default();
        let nodes = self.assembly.graph.nodes().iter().enumerate().filter(|(_, known)| known.id == *node);
        for (n, known) in nodes {
            for unit in (0..known.units.len()).filter(|unit| known.units[*unit].aspect == *aspect) {
                self.add_rows(&mut rows, UnitRef { node: NodeIndex(n), unit }, output)?;
            }
        }
        Ok(rows)
    }

    fn add_rows(&self, rows: &mut Rows, at: UnitRef, output: &str) -> Result<(), AssembleError> {
        rows.add(&self.open(at, output)?).ok_or_else(|| misfit(&self.assembly.graph.node(at.node).id))
    }

    /// Reads an artifact of a unit without a shard; weights that are fetched by name are only named.
    fn whole(
        &self,
        at: UnitRef,
        output: &'static str,
        config: &Config,
        is_learnt: bool,
    ) -> Result<(Whole, Option<Vec<u8>>), AssembleError> {
        let (node, unit) = (self.assembly.graph.node(at.node).id.clone(), self.assembly.graph.unit(at).key());
        let digest = self.digest(at, output)?;
        let imported = self.weights().into_iter().find(|(_, weights)| *weights == digest).map(|(base, _)| base);
        let name = imported.as_ref().map(|base| config.train_base[base].weights.clone());
        let weights = name.filter(|name| weights::known(name).is_some());
        let from_labelled = is_learnt && imported.is_none();
        let blob = self.open(at, output)?;
        let text = text_of(&blob).ok_or_else(|| misfit(&node))?;
        let bytes = weights.is_none().then(|| blob.to_vec());
        Ok((Whole { node, unit, output: output.to_owned(), digest, text, weights, from_labelled }, bytes))
    }

    /// Returns the digests of imported weights by base CNN.
    fn weights(&self) -> BTreeMap<String, Digest> {
        let known = |(name, source): (&String, &InputSource)| match source {
            InputSource::Known(digest) => Some((name.clone(), *digest)),
            _ => None,
        };
        self.scene.weights.iter().filter_map(known).collect()
    }

    /// Returns the units that rest on labelled photos.
    fn labelled_units(&self) -> BTreeSet<(NodeIndex, usize)> {
        let ids: BTreeSet<u32> = self.own().photos().iter().map(|photo| photo.image_id.0).collect();
        let mut found = BTreeSet::new();
        for (n, node) in self.assembly.graph.nodes().iter().enumerate() {
            for (u, unit) in node.units.iter().enumerate() {
                let is_own = |unit: &Unit| {
                    let mut photos = unit.inputs.iter().filter(|input| input.port == PHOTO);
                    photos.any(|input| input.item.as_ref().is_some_and(|item| ids.contains(&item.key)))
                };
                let mut read = unit.inputs.iter();
                let rests = read.any(|input| match input.source {
                    InputSource::Output(from, _) => found.contains(&(from.node, from.unit)),
                    _ => false,
                });
                if rests || is_own(unit) {
                    found.insert((NodeIndex(n), u));
                }
            }
        }
        found
    }

    /// Returns the recipes of what the row rests on: of shards, those of labelled photos.
    fn recipes(&self) -> BTreeMap<String, recipes::Recipe> {
        of_row(self.assembly, self.node, self.own())
    }

    /// Lists the labelled photos that have rows.
    fn photos(&self, with_rows: &BTreeSet<i64>) -> Vec<PhotoLine> {
        let own = self.own();
        let labelled = own.photos().iter().filter(|photo| photo.class_id != own.query_class());
        let line = |photo: &mlsm_data::Photo| {
            let digest = *self.scene.source.digests.get(&photo.image_id)?;
            let path = photo.path.split_once('/').map_or(photo.path.as_str(), |(_, below)| below).to_owned();
            Some(PhotoLine { image_id: photo.image_id, class_id: photo.class_id, path, digest })
        };
        labelled.filter(|photo| with_rows.contains(&i64::from(photo.image_id.0))).filter_map(line).collect()
    }
}

/// Returns the recipes of what a row rests on: of shards, those of a user's labelled photos.
pub(super) fn of_row(assembly: &Assembly, node: &str, own: &OwnPhotos) -> BTreeMap<String, recipes::Recipe> {
    let graph = &assembly.graph;
    let is_labelled = |class: ClassId| own.has(class) && class != own.query_class();
    let labelled = assembly.shards.iter().filter(|shard| is_labelled(shard.class_id));
    let labelled: BTreeSet<&str> = labelled.map(|shard| shard.id.as_str()).collect();
    let is_counted = |at: &UnitRef| {
        let shard = graph.unit(*at).shard.as_str();
        graph.node(at.node).id != node && (shard.is_empty() || labelled.contains(shard))
    };
    let below = graph.units_below(node).into_iter().map(|(node, unit)| UnitRef { node, unit });
    recipes::of_units(graph, below.filter(is_counted))
}

fn misfit(node: &str) -> AssembleError {
    StageError::defect(format!("an artifact of {node} has a form that a support file does not keep")).into()
}
