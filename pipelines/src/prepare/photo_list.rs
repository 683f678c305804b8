//! The list of a plan's photos: what planning found, kept in the store for machines that list no folder.
//!
//! ```text
//! shards   (shard, class_id, class_name, photos, list)         one table; a class without photos has an empty shard
//! photos   (shard, image_id, path, box_x … box_h, digest)      tables of whole shards, named by their digests in `list`
//! answers  (unit, fingerprint)                                 one table: the requests of the units that read photos alone
//! ```
//!
//! A machine reads the tables of shards and of answers. What stands in the store under an answer's fingerprint needs no photo
//! any more; it reads the lists of those shards of which its units, or what they rest on, open a photo. Each table is an artifact that is found by its own
//! digest, so that equal photos are kept once, whoever plans with them.

mod tables;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use mlsm_data::{Class, ClassId, Dataset, Photo, Shard};
use mlsm_engine::{Action, EngineError, Graph, GraphError, NodeIndex, Plan, UnitRef};
use mlsm_errors::{Explain as _, Explanation, Fix};
use mlsm_store::{Blob, Digest, Fingerprint, Manifest, Request, Store};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::tables::{
    Row, ShardRow, answers, answers_table, digest_of, photo_rows, photos_table, shards_table, texts, u32s,
};
use super::{Preparation, Scene, Source, bucket};
use crate::AssembleError;
use crate::artifact::read_table;
use crate::config::Config;
use crate::photo_file::{KeptRoot, PhotoRoot};
use crate::recipe::field;

/// A list ends with the shard by which it has so many photos.
const ENOUGH: usize = 1 << 14;

/// The stage whose units read photos and nothing else.
const INGEST: &str = "ingest";

/// The stages that open photos.
const OPENING: [&str; 2] = [INGEST, "crop"];

/// The name of the only output of a table's request.
const TABLE: &str = "table";

/// Names the photos of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhotoList {
    /// The digest of the table of shards.
    pub shards: Digest,
    /// The digest of the table of answers.
    pub answers: Digest,
    /// How many photos there are.
    pub photos: usize,
    /// The name under which results are published.
    pub name: String,
    /// The path at which the photos begin, below the folder that is named or that the store keeps.
    pub below: String,
}

/// A scene whose photos are read from a list, as far as they are needed.
pub struct ListedScene {
    scene: Scene,
    /// The list that has each shard, in the order of the shards.
    lists: Vec<Digest>,
    /// The fingerprints of the units of `ingest`, by key.
    answers: BTreeMap<String, Fingerprint>,
}

/// The units of a graph that some need, apart from those whose answers are in the store.
pub struct Needed {
    units: BTreeSet<(NodeIndex, usize)>,
    answers: BTreeMap<(NodeIndex, usize), Arc<Manifest>>,
}

impl PhotoList {
    /// Keeps the photos of a scene, in the shards of its configuration. `plan`: that of its graph.
    ///
    /// # Errors
    /// [`AssembleError::Store`] when the store cannot be written.
    pub fn keep(config: &Config, scene: &Scene, plan: &Plan, store: &Store) -> Result<Self, AssembleError> {
        let source = &scene.source;
        let shards = source.shards(config.data.shard_photos);
        let mut rows: Vec<ShardRow> = Vec::new();
        let mut rest = shards.as_slice();
        while !rest.is_empty() {
            let (part, after) = rest.split_at(first_list(rest));
            let list = keep(&photos_table(part, source)?, store)?;
            rows.extend(part.iter().map(|shard| ShardRow {
                shard: shard.id.clone(),
                class_id: shard.class_id,
                photos: shard.photos.len(),
                list: Some(list),
            }));
            rest = after;
        }
        let photos = rows.iter().map(|row| row.photos).sum();
        let filled: BTreeSet<ClassId> = rows.iter().map(|row| row.class_id).collect();
        let empty = source.dataset.class_ids().into_iter().filter(|class| !filled.contains(class));
        rows.extend(empty.map(|class_id| ShardRow { shard: String::new(), class_id, photos: 0, list: None }));
        let shards = keep(&shards_table(&rows, &source.dataset)?, store)?;
        let answers = keep(&answers_table(plan)?, store)?;
        Ok(Self { shards, answers, photos, name: source.name.clone(), below: source.below.clone() })
    }
}

/// Returns how many of the shards, one at least, make a list.
fn first_list(shards: &[Shard]) -> usize {
    let mut photos = 0;
    let is_enough = |shard: &Shard| {
        photos += shard.photos.len();
        photos >= ENOUGH
    };
    shards.iter().position(is_enough).map_or(shards.len(), |last| last + 1)
}

impl ListedScene {
    /// Reads which shards there are, none of their photos, and what else the configuration refers to.
    ///
    /// # Errors
    /// [`AssembleError::Config`] when the store does not have the list; as [`super::prepare`].
    pub fn open(config: &Config, list: &PhotoList, with: &Preparation<'_>) -> Result<Self, AssembleError> {
        let (mut classes, mut shards, mut lists) = (BTreeMap::new(), Vec::new(), Vec::new());
        for batch in read_table(&find(&list.shards, with.store)?)? {
            let (ids, names, in_list) =
                (u32s(&batch, "class_id")?, texts(&batch, "class_name")?, texts(&batch, "list")?);
            let shard_ids = texts(&batch, "shard")?;
            for row in 0..batch.num_rows() {
                let class_id = ClassId(ids[row]);
                classes.insert(class_id, names[row].to_owned());
                if !in_list[row].is_empty() {
                    shards.push(Shard { id: shard_ids[row].to_owned(), class_id, photos: Vec::new() });
                    lists.push(digest_of(in_list[row])?);
                }
            }
        }
        let classes = classes.into_iter().map(|(class_id, name)| Class { class_id, name }).collect();
        let dataset = Dataset::new(Path::new("").to_owned(), classes, Vec::new());
        let source = Source {
            root: root(config, list, with)?,
            below: list.below.clone(),
            listed: Some(shards),
            ..Source::of(dataset, BTreeMap::new(), list.name.clone())
        };
        let answers = answers(&find(&list.answers, with.store)?)?;
        Ok(Self { scene: super::whole(config, source, with)?, lists, answers })
    }

    /// Finds what some units of the scene's graph need, and reads the photos of those shards of which anything is to be computed
    /// or cut. The graph must be assembled anew before it can run.
    ///
    /// # Errors
    /// As [`ListedScene::open`].
    pub fn read_for(&mut self, units: &[UnitRef], graph: &Graph, store: &Store) -> Result<Needed, AssembleError> {
        let needed = self.needed(units, graph, store)?;
        let part = needed.part_of(graph)?;
        let plan = mlsm_engine::plan(&part, store, "", &[]).map_err(|error| match error {
            EngineError::Store(error) => AssembleError::Store(error),
            error => AssembleError::Data(error.explain()),
        })?;
        let nodes = part.nodes().iter().zip(&plan.nodes).filter(|(node, _)| OPENING.contains(&node.stage));
        let opened = nodes.flat_map(|(node, planned)| node.units.iter().zip(&planned.units));
        let opened = opened.filter(|(_, planned)| planned.action != Action::Reuse);
        self.read(&opened.map(|(unit, _)| unit.shard.clone()).collect(), store)?;
        Ok(needed)
    }

    fn needed(&self, units: &[UnitRef], graph: &Graph, store: &Store) -> Result<Needed, AssembleError> {
        let mut needed = Needed { units: graph.needed_for(units), answers: BTreeMap::new() };
        let is_ingest = |at: &UnitRef| graph.node(at.node).stage == INGEST && !units.contains(at);
        let places = needed.units.iter().map(|(node, unit)| UnitRef { node: *node, unit: *unit });
        for at in places.filter(is_ingest) {
            let fingerprint = self.answers.get(&graph.unit(at).key());
            if let Some(answer) = fingerprint.map(|fingerprint| store.lookup(fingerprint)).transpose()?.flatten() {
                needed.answers.insert((at.node, at.unit), answer);
            }
        }
        needed.units.retain(|place| !needed.answers.contains_key(place));
        Ok(needed)
    }

    /// Returns the scene. Units of shards whose photos were not read cannot run.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// Reads the photos of some shards.
    fn read(&mut self, shards: &BTreeSet<String>, store: &Store) -> Result<(), AssembleError> {
        let source = &mut self.scene.source;
        let listed = source.listed.get_or_insert_default();
        let wanted = listed.iter().zip(&self.lists).filter(|(shard, _)| shards.contains(&shard.id));
        let wanted: BTreeSet<&Digest> = wanted.map(|(_, list)| list).collect();
        let wanted: Vec<&Digest> = wanted.into_iter().collect();
        let rows = |list: &&Digest| -> Result<Vec<Row>, AssembleError> { photo_rows(&find(list, store)?, shards) };
        let read: Result<Vec<Vec<Row>>, AssembleError> = wanted.par_iter().map(rows).collect();
        let mut by_shard: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for row in read?.into_iter().flatten() {
            by_shard.entry(row.shard.clone()).or_default().push(row);
        }
        for shard in listed.iter_mut().filter(|shard| shard.photos.is_empty()) {
            let Some(rows) = by_shard.remove(&shard.id) else { continue };
            source.digests.extend(rows.iter().map(|row| (row.image_id, row.digest)));
            let class_id = shard.class_id;
            let photo = |Row { image_id, path, bbox, .. }| Photo { image_id, class_id, path, bbox };
            shard.photos = rows.into_iter().map(photo).collect();
        }
        Ok(())
    }
}

impl Needed {
    /// Returns the part of a graph that has to run. `graph`: assembled of the scene for which this was found.
    ///
    /// # Errors
    /// [`AssembleError::Graph`] for another graph.
    pub fn part_of(&self, graph: &Graph) -> Result<Graph, AssembleError> {
        let known = |at: UnitRef, output| {
            let answer = self.answers.get(&(at.node, at.unit)).and_then(|answer| answer.outputs.get(output));
            answer.map(|found| found.digest).ok_or_else(|| GraphError::Later { unit: graph.unit(at).key(), output })
        };
        Ok(graph.part(|at| self.units.contains(&(at.node, at.unit)), known)?)
    }
}

/// Where the photos of a list lie on this machine; nothing is looked at before one of them is read.
fn root(config: &Config, list: &PhotoList, with: &Preparation<'_>) -> Result<PhotoRoot, AssembleError> {
    if let Some(address) = config.bucket() {
        return Ok(PhotoRoot::Bucket { objects: bucket::place(address, with)?, below: list.below.as_str().into() });
    }
    Ok(match config.data_path().filter(|path| !path.is_file()) {
        Some(folder) => PhotoRoot::Folder(folder.join(&list.below).into()),
        None => PhotoRoot::Kept(Arc::new(KeptRoot::new(config.clone(), list.below.clone()))),
    })
}

/// Asks for a table by its digest.
fn request(digest: &Digest) -> Request {
    let recipe = vec![field("digest", digest.to_string())];
    Request { stage: "photo-list".to_owned(), version: 1, recipe, inputs: Vec::new() }
}

/// Keeps a table where every machine that sees the store finds it.
fn keep(table: &[u8], store: &Store) -> Result<Digest, AssembleError> {
    let output = store.put(table)?;
    store.commit(request(&output.digest), BTreeMap::from([(TABLE.to_owned(), output)]), BTreeMap::new())?;
    Ok(output.digest)
}

fn find(digest: &Digest, store: &Store) -> Result<Blob, AssembleError> {
    match store.lookup(&request(digest).fingerprint())? {
        Some(_) => Ok(store.open_blob(digest)?),
        None => {
            let said = Explanation::new("the list of the plan's photos is not in the store").because(format!(
                "{} does not have {}: it was collected, or the plan was drawn on another store",
                store.root().display(),
                digest.short()
            ));
            Err(AssembleError::Config(said.fix(Fix::NewPlan).fix(Fix::OtherStore)))
        }
    }
}
